/// Finds stop sequences in text that arrives in pieces.
///
/// The text is cut in front of the leftmost occurrence of any stop sequence. Text that may yet turn out to be the begin
/// of one is held back, and so is a complete one while a longer one that began further left is still possible. The
/// result therefore never depends on how the text was split into pieces. Sequences are compared by their UTF-8 bytes: a
/// composed and a decomposed "é" differ, and a sequence can end inside a grapheme. An automaton of Aho and Corasick
/// (1975) takes each byte once, however many sequences there are.
struct StopSequenceMatcher: Sendable {
    private let automaton: Automaton
    private var state = 0
    /// Text that was neither given out nor dropped.
    private var held: [UInt8] = []
    /// Where in `held` the leftmost stop sequence found so far begins.
    private var matchStart: Int?

    /// Whether a stop sequence was found for sure, so that nothing comes after it.
    private(set) var isStopped = false

    /// - Parameter stopSequences: Any number of texts; empty ones are left out.
    init(_ stopSequences: [String]) {
        automaton = Automaton(stopSequences)
    }

    /// Takes the next piece of text.
    ///
    /// - Returns: The text that can be shown now, possibly none.
    mutating func append(_ text: String) -> String {
        guard !isStopped else { return "" }
        if automaton.isEmpty { return text }
        for byte in text.utf8 {
            held.append(byte)
            state = automaton.next(state, byte)
            let matched = automaton.longestMatch[state]
            if matched > 0 {
                matchStart = min(matchStart ?? .max, held.count - matched)
            }
            if let matchStart, held.count - automaton.depth[state] >= matchStart {
                return stop(at: matchStart)
            }
        }
        // What is undecided begins left of a sequence that was found, or the text would have been cut there.
        let decided = held.count - automaton.depth[state]
        matchStart? -= decided
        return release(decided)
    }

    /// Ends the text.
    ///
    /// - Returns: What was held back, up to a stop sequence if it has one; `isStopped` tells.
    mutating func finish() -> String {
        if let matchStart { return stop(at: matchStart) }
        return release(held.count)
    }

    private mutating func stop(at start: Int) -> String {
        isStopped = true
        let text = release(start)
        held = []
        matchStart = nil
        return text
    }

    /// Gives out the first bytes of what is held. They end at the begin of a stop sequence's prefix or at that of a
    /// piece, and so never inside a character's bytes.
    private mutating func release(_ count: Int) -> String {
        defer { held.removeFirst(count) }
        return String(decoding: held.prefix(count), as: UTF8.self)
    }
}

extension StopSequenceMatcher {
    /// A trie of all sequences' bytes. State 0 is its root; each state stands for the longest end of the text that is
    /// the begin of a sequence.
    private struct Automaton: Sendable {
        /// The length of the begin that a state stands for, in bytes.
        private(set) var depth = [0]
        /// The length of the longest whole sequence that ends in a state, or 0.
        private(set) var longestMatch = [0]
        /// The state of the longest proper end of a state's bytes.
        private var fallback = [0]
        private var children: [Edge: Int] = [:]

        private struct Edge: Hashable {
            let state: Int
            let byte: UInt8
        }

        var isEmpty: Bool { children.isEmpty }

        init(_ sequences: [String]) {
            var edges: [(edge: Edge, child: Int)] = []
            for sequence in sequences where !sequence.isEmpty {
                var state = 0
                for byte in sequence.utf8 {
                    let edge = Edge(state: state, byte: byte)
                    state = children[edge] ?? depth.count
                    guard state == depth.count else { continue }
                    children[edge] = state
                    edges.append((edge, state))
                    depth.append(depth[edge.state] + 1)
                    longestMatch.append(0)
                    fallback.append(0)
                }
                longestMatch[state] = depth[state]
            }
            // By depth, so that every shorter begin is complete before a longer one looks at it.
            for (edge, child) in edges.sorted(by: { depth[$0.child] < depth[$1.child] }) where edge.state != 0 {
                fallback[child] = next(fallback[edge.state], edge.byte)
                longestMatch[child] = max(longestMatch[child], longestMatch[fallback[child]])
            }
        }

        /// The state after one more byte.
        func next(_ state: Int, _ byte: UInt8) -> Int {
            var state = state
            while true {
                if let child = children[Edge(state: state, byte: byte)] { return child }
                if state == 0 { return 0 }
                state = fallback[state]
            }
        }
    }
}
