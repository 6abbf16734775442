import Testing

@testable import Owl2Kit

@Suite struct PromptLookupTests {
    @Test("The tokens behind the longest earlier match, the latest of equal ones") func matches() {
        #expect(PromptLookup([]).guess(atMost: 4) == nil)
        #expect(PromptLookup([5]).guess(atMost: 4) == nil)
        #expect(PromptLookup([1, 2, 3]).guess(atMost: 4) == nil)
        #expect(PromptLookup([1, 2, 3, 1]).guess(atMost: 0) == nil)
        // 1 stands twice before: the later place wins
        #expect(PromptLookup([1, 2, 1, 3, 9, 1]).guess(atMost: 2) == .init(tokens: [3, 9], matchLength: 1))
        // a longer match wins over a later one
        #expect(PromptLookup([7, 1, 2, 1, 3, 7, 1]).guess(atMost: 1) == .init(tokens: [2], matchLength: 2))
        #expect(
            PromptLookup([4, 5, 6, 7, 8, 9, 10, 4, 5, 6, 7, 8, 9]).guess(atMost: 3)
                == .init(tokens: [10, 4, 5], matchLength: 6))
    }

    @Test("A text that repeats itself is carried on beyond its end") func periods() {
        #expect(PromptLookup([8, 8]).guess(atMost: 4) == .init(tokens: [8, 8, 8, 8], matchLength: 1))
        #expect(PromptLookup([1, 2, 3, 1, 2, 3]).guess(atMost: 5) == .init(tokens: [1, 2, 3, 1, 2], matchLength: 3))
    }

    @Test("A picture is never guessed") func pictures() {
        #expect(PromptLookup([1, -200, 3, 1]).guess(atMost: 4) == nil)
        #expect(PromptLookup([1, 4, -200, 3, 1]).guess(atMost: 4) == .init(tokens: [4], matchLength: 1))
        #expect(PromptLookup([-200, 1, 4, 6, -200, 1]).guess(atMost: 2) == .init(tokens: [4, 6], matchLength: 2))
    }

    @Test("Tokens that are added are looked for, too") func appending() {
        var lookup = PromptLookup([1, 2])
        lookup.append([3, 1])
        #expect(lookup.guess(atMost: 2) == .init(tokens: [2, 3], matchLength: 1))
    }
}

@Suite struct SpeculatorTests {
    /// Costs where a pass of several rows takes so many times that of one.
    private func costs(_ ratio: Double) -> PassCosts {
        let costs = PassCosts()
        for _ in 0..<60 {
            for rows in [2, 4, 8, 16] { costs.record(rowCount: rows, seconds: ratio) }
            costs.record(rowCount: 1, seconds: 1)
        }
        return costs
    }

    /// The guesses that are verified over a text whose tokens come one at a time.
    private func run(_ text: [Int], ratio: Double, mode: Speculation = .automatic) -> Int {
        var speculator = Speculator(mode, context: [text[0]], costs: costs(ratio))
        var verified = 0
        for token in text.dropFirst() {
            verified += speculator.propose(atMost: 15).count
            speculator.learn([token])
        }
        return verified
    }

    private let repetitive = (0..<200).map { $0 % 20 }
    /// Every token returns, but always in front of another one.
    private let misleading = (0..<400).map { $0 % 2 == 0 ? 1 : $0 + 10 }

    @Test("Guesses are verified where they are right and passes are cheap") func pays() {
        #expect(run(repetitive, ratio: 1.3) > 500)
    }

    @Test("No guess is verified where it would cost more than it gives") func costly() {
        #expect(run(repetitive, ratio: 20) == 0)
    }

    @Test("Guesses that are always wrong are given up") func wrong() {
        #expect(run(misleading, ratio: 1.05) < 10)
        #expect(run(misleading, ratio: 1.05, mode: .always(2)) > 300)
    }

    @Test("Nothing is guessed before the time of a pass is known") func unknownCosts() {
        var speculator = Speculator(.automatic, context: repetitive, costs: PassCosts())
        #expect(speculator.propose(atMost: 15).isEmpty)
    }

    @Test("A bad measurement is doubted again") func doubt() throws {
        let costs = PassCosts()
        costs.record(rowCount: 1, seconds: 1)
        for _ in 0..<40 { costs.record(rowCount: 2, seconds: 50) }
        #expect(try #require(costs.ratio(rowCount: 2)) > 20)
        for _ in 0..<1500 { costs.record(rowCount: 1, seconds: 1) }
        #expect(try #require(costs.ratio(rowCount: 2)) < 2)
        #expect(costs.ratio(rowCount: 1) == 1)
    }
}
