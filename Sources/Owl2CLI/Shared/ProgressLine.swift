import Owl2Kit
import Synchronization

/// One line on the standard error that says how far the work is, if that is a terminal.
final class ProgressLine: Sendable {
    private let isShown = StandardError.isTerminal
    private let shown = Mutex("")

    /// What to hand to the library: nothing where nobody reads along.
    var handler: Owl2Pipeline.ProgressHandler? {
        guard isShown else { return nil }
        return { self.show($0) }
    }

    private func show(_ progress: PipelineProgress) {
        let stage =
            switch progress.stage {
            case .loading: "loading"
            case .encodingImages: "looking at the pictures"
            case .prefill: "reading the prompt"
            case .quantizing: "quantizing"
            case .answering: "answering"
            }
        show("\(stage): \(Int(min(max(progress.fractionCompleted, 0), 1) * 100)) %")
    }

    /// What to hand to the library where it tells its progress in words.
    var textHandler: (@Sendable (String) -> Void)? {
        guard isShown else { return nil }
        return { self.show($0) }
    }

    private func show(_ text: String) {
        shown.withLock { last in
            guard text != last else { return }
            last = text
            StandardError.write("\r\u{1B}[K\(text)")
        }
    }

    /// Wipes the line out, so that something else can be written.
    func clear() {
        shown.withLock { last in
            if !last.isEmpty { StandardError.write("\r\u{1B}[K") }
            last = ""
        }
    }
}
