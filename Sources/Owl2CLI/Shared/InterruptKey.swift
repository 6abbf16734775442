import Dispatch
import Foundation
import Synchronization

/// What Ctrl-C does instead of ending the program, from the moment that there is such a value.
final class InterruptKey {
    private final class Action: Sendable {
        let perform = Mutex<@Sendable () -> Void>({})
    }

    private let action = Action()
    private let source: any DispatchSourceSignal

    /// Takes the key over.
    init() {
        signal(SIGINT, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global(qos: .userInteractive))
        let action = action
        source.setEventHandler { action.perform.withLock { $0 }() }
        source.resume()
    }

    /// Says what the key does from now on.
    func setAction(_ perform: @escaping @Sendable () -> Void) {
        action.perform.withLock { $0 = perform }
    }

    deinit {
        source.cancel()
    }
}
