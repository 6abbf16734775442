import Testing

@testable import Owl2Kit

@Suite struct StopSequenceMatcherTests {
    /// What each piece lets out, then what the end lets out, and whether a sequence was found.
    private func run(_ stops: [String], _ pieces: [String]) -> (shown: [String], stopped: Bool) {
        var matcher = StopSequenceMatcher(stops)
        var shown: [String] = []
        for piece in pieces {
            shown.append(matcher.append(piece))
        }
        shown.append(matcher.finish())
        return (shown, matcher.isStopped)
    }

    struct Case: Sendable {
        let stops: [String]
        let pieces: [String]
        let shown: [String]
        let stopped: Bool

        init(_ stops: [String], _ pieces: [String], _ shown: [String], _ stopped: Bool) {
            self.stops = stops
            self.pieces = pieces
            self.shown = shown
            self.stopped = stopped
        }
    }

    static let cases: [Case] = [
        Case([], ["ab", "c"], ["ab", "c", ""], false),
        Case(["x"], ["ab", "", "c"], ["ab", "", "c", ""], false),
        Case(["x"], ["abxc", "d"], ["ab", "", ""], true),
        Case(["x"], ["x"], ["", ""], true),
        // The begin of a sequence is held back, and given out once it is none.
        Case(["USER:"], ["a US", "ER", "S"], ["a ", "", "USERS", ""], false),
        Case(["USER:"], ["a US", "ER", ": b"], ["a ", "", "", ""], true),
        Case(["USER:"], ["a US"], ["a ", "US"], false),
        // A begin inside a failed begin.
        Case(["aab"], ["a", "a", "a", "b"], ["", "", "a", "", ""], true),
        Case(["aab"], ["aaa", "c"], ["a", "aac", ""], false),
        // Leftmost wins, though another is complete earlier …
        Case(["bc", "abcd"], ["abc", "d!"], ["", "", ""], true),
        // … unless the longer one does not come about.
        Case(["bc", "abcd"], ["abc", "e!"], ["", "a", ""], true),
        Case(["bc", "abcd"], ["zzabc"], ["zz", "a"], true),
        Case(["bc", "abcd"], ["zzab", "c", "d"], ["zz", "", "", ""], true),
        Case(["c", "bcx", "abcy"], ["abc", "x"], ["", "a", ""], true),
        // Of two that begin at the same place the cut is the same.
        Case(["ab", "abc"], ["xab", "c"], ["x", "", ""], true),
        Case(["b", "b"], ["abc"], ["a", ""], true),
        // Bytes, not characters: no canonical equivalence, and a sequence may end inside a grapheme.
        Case(["e\u{301}"], ["\u{E9}e", "\u{301}x"], ["\u{E9}", "", ""], true),
        Case(["\u{E9}"], ["e\u{301}"], ["e\u{301}", ""], false),
        Case(["e"], ["ae\u{301}b"], ["a", ""], true),
        Case(["👍🏽"], ["ok 👍", "🏽!"], ["ok ", "", ""], true),
        Case(["👍🏽"], ["ok 👍", "🏿!"], ["ok ", "👍🏿!", ""], false),
        Case(["\r\n"], ["a\r", "\nb"], ["a", "", ""], true),
        Case(["\n"], ["a\r\nb"], ["a\r", ""], true),
        // Characters that share their first bytes.
        Case(["中"], ["a丮", "b"], ["a丮", "b", ""], false),
        Case([""], ["a"], ["a", ""], false),
    ]

    @Test(arguments: cases) func cuts(_ testCase: Case) {
        let result = run(testCase.stops, testCase.pieces)
        #expect(result.shown.map { Array($0.utf8) } == testCase.shown.map { Array($0.utf8) }, "\(testCase)")
        #expect(result.stopped == testCase.stopped, "\(testCase)")
    }

    @Test func nothingComesAfterTheStop() {
        var matcher = StopSequenceMatcher(["!"])
        #expect(matcher.append("a!b") == "a")
        #expect(matcher.isStopped)
        #expect(matcher.append("cd") == "")
        #expect(matcher.finish() == "")
        #expect(matcher.isStopped)
    }

    /// The definition, over the whole text: cut in front of the leftmost occurrence of any sequence.
    private func reference(_ stops: [String], _ text: String) -> (shown: [UInt8], stopped: Bool) {
        let bytes = Array(text.utf8)
        for start in bytes.indices where stops.contains(where: { bytes[start...].starts(with: $0.utf8) }) {
            return (Array(bytes[..<start]), true)
        }
        return (bytes, false)
    }

    @Test func agreesWithTheDefinitionForAnySplit() {
        var generator = SplitMix64(seed: 2)
        let alphabet: [Unicode.Scalar] = ["a", "b", "é", "\u{301}", "中"]
        func randomText(_ lengths: ClosedRange<Int>) -> String {
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: lengths, using: &generator) {
                text.append(alphabet[Int.random(in: 0..<alphabet.count, using: &generator)])
            }
            return String(text)
        }
        var stoppedCount = 0
        for round in 0..<3000 {
            let stops = (0..<Int.random(in: 1...4, using: &generator)).map { _ in randomText(1...5) }
            let text = randomText(0...40)
            var pieces: [String] = []
            var rest = Array(text.unicodeScalars)[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 0...6, using: &generator))
                rest = rest.dropFirst(piece.count)
                pieces.append(String(String.UnicodeScalarView(piece)))
            }
            let expected = reference(stops, text)
            let found = run(stops, pieces)
            #expect(found.shown.flatMap { Array($0.utf8) } == expected.shown, "round \(round): \(stops) in \(pieces)")
            #expect(found.stopped == expected.stopped, "round \(round): \(stops) in \(pieces)")
            stoppedCount += found.stopped ? 1 : 0
        }
        #expect((1000..<2900).contains(stoppedCount))
    }

    /// Text is held back no longer than needed: what is held is the begin of a sequence.
    @Test func holdsBackOnlyBegins() {
        var generator = SplitMix64(seed: 3)
        for _ in 0..<500 {
            var matcher = StopSequenceMatcher(["abab", "bbb"])
            var text = ""
            var shown = ""
            while text.utf8.count < 20, !matcher.isStopped {
                let character = Bool.random(using: &generator) ? "a" : "b"
                text += character
                shown += matcher.append(character)
                guard !matcher.isStopped else { break }
                let held = String(text.dropFirst(shown.count))
                #expect("abab".hasPrefix(held) || "bbb".hasPrefix(held))
            }
        }
    }

    @Test func manyLongSequencesTakeLinearTime() {
        // Quadratic work would be 10^11 steps here.
        let stops = (0..<100).map { String(repeating: "a", count: 1000 + $0) + "b" }
        var matcher = StopSequenceMatcher(stops)
        var shown = 0
        for _ in 0..<1000 {
            shown += matcher.append(String(repeating: "a", count: 100)).utf8.count
        }
        #expect(shown == 100_000 - 1099)
        #expect(matcher.append("b") == "")
        #expect(matcher.isStopped)
    }
}
