import COwl2Kernels
import Foundation
import Owl2Tensor
import Testing

@testable import Owl2Kit

/// Nothing here depends on how fast the machine is.
@Suite("Benchmark") struct BenchmarkTests {
    @Test("Every instruction set has loops for its limits", arguments: InstructionSet.allCases)
    func limitLoops(_ instructionSet: InstructionSet) throws {
        let loops = owl2_limits_for(owl2_tier(instructionSet.rawValue))
        guard instructionSet.isAvailable else {
            #expect(loops == nil)
            return
        }
        let table = try #require(loops).pointee
        #expect(table.int8(10) == 10 * table.int8(1) && table.int8(1) >= 2)
        #expect(table.float32(10) == 10 * table.float32(1) && table.float32(1) >= 2)
        var bytes = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 3) }
        let expected = bytes.withUnsafeBytes { $0.bindMemory(to: UInt64.self).reduce(0, ^) }
        #expect(table.read(bytes, bytes.count) == expected)
        bytes[4095] ^= 1
        #expect(table.read(bytes, bytes.count) != expected)
    }

    @Test("Limits are positive")
    func limits() throws {
        let limits = try MachineLimits.measure(with: Compute(threadCount: 2))
        #expect(limits.readGigabytesPerSecond > 0 && limits.readGigabytesPerSecond.isFinite)
        #expect(limits.int8GigaoperationsPerSecond > 0 && limits.int8GigaoperationsPerSecond.isFinite)
        #expect(limits.float32GigaoperationsPerSecond > 0 && limits.float32GigaoperationsPerSecond.isFinite)
    }

    @Test("The middle of an odd and an even number of runs")
    func spread() {
        let odd = BenchmarkResult.Spread([3, 1, 2]), even = BenchmarkResult.Spread([4, 1, 2, 3])
        #expect((odd.low, odd.median, odd.high) == (1, 2, 3))
        #expect((even.low, even.median, even.high) == (1, 2.5, 4))
        let rate = odd.inverted(times: 6)
        #expect((rate.low, rate.median, rate.high) == (2, 3, 6))
    }

    @Test("Every planned piece of work is measured once")
    func run() async throws {
        var benchmark = Benchmark(.synthetic(.small, [.q4_0, .f16]))
        benchmark.threadCount = 2
        benchmark.backends = [.own, .openblas]
        benchmark.plan.promptTokenCounts = [5, 3]
        benchmark.plan.newTokenCount = 2
        benchmark.plan.imageCounts = [1]
        benchmark.plan.batchSizes = [1, 3]
        let report = try await benchmark.run()
        let expected = ["load 1", "image 1", "prefill 5", "prefill 3", "decode 1", "decode 3"]
        let found = Dictionary(grouping: report.results) { "\($0.type) \($0.backend.rawValue)" }
        #expect(Set(found.keys) == ["q4_0 own", "q4_0 openblas", "f16 own", "f16 openblas"])
        for (key, results) in found {
            #expect(results.map { "\($0.work.rawValue) \($0.size)" } == expected, "\(key)")
            for result in results {
                let spread = result.spread
                #expect(0 < spread.low && spread.low <= spread.median && spread.median <= spread.high)
                #expect(result.share > 0 && result.share.isFinite)
                let isProduct = result.work == .prefill || result.work == .image
                #expect(result.bound == (!isProduct ? .read : key == "q4_0 own" ? .int8 : .float32), "\(key)")
                #expect(result.unit == (result.work == .prefill || result.work == .decode ? "tokens/s" : "s"))
            }
        }
        #expect(report.machine.threadCount == 2 && !report.machine.cpu.isEmpty)
        #expect(report.peakResidentByteCount > 0)
    }

    @Test("Work is left out that is not asked for")
    func chosenWork() async throws {
        var benchmark = Benchmark(.model(try TestModels.files(replacing: [:])))
        benchmark.threadCount = 2
        benchmark.plan.works = [.load, .decode]
        benchmark.plan.promptTokenCounts = [4]
        benchmark.plan.newTokenCount = 1
        let report = try await benchmark.run()
        #expect(report.results.map(\.work) == [.load, .decode])
        #expect(report.results.allSatisfy { $0.type == "f16" })
    }

    struct BadPlan: CustomTestStringConvertible {
        let testDescription: String
        let pieces: [String]
        let change: @Sendable (inout BenchmarkPlan) -> Void
    }

    static let badPlans = [
        BadPlan(testDescription: "no rows", pieces: ["prompt-tokens", "found 0"]) { $0.promptTokenCounts = [0] },
        BadPlan(testDescription: "a negative number", pieces: ["prompt-tokens", "-5"]) {
            $0.promptTokenCounts = [4, -5]
        },
        BadPlan(testDescription: "no lengths", pieces: ["prompt-tokens", "none"]) { $0.promptTokenCounts = [] },
        BadPlan(testDescription: "beyond counting", pieces: ["new-tokens", "\(Int.max)"]) { $0.newTokenCount = .max },
        BadPlan(testDescription: "no pictures", pieces: ["images", "found 0"]) { $0.imageCounts = [1, 0] },
        BadPlan(testDescription: "many pictures", pieces: ["images", "256", "100000"]) { $0.imageCounts = [100_000] },
        BadPlan(testDescription: "no sequences", pieces: ["batch", "found 0"]) { $0.batchSizes = [0] },
        BadPlan(testDescription: "two runs", pieces: ["repetitions", "3", "2"]) { $0.repetitions = 2 },
        BadPlan(testDescription: "a long prompt", pieces: ["prompt-tokens", "1025", "1024"]) {
            $0.promptTokenCounts = [4, 1025]
        },
        BadPlan(testDescription: "no room to decode", pieces: ["1000", "25", "1024"]) {
            $0.promptTokenCounts = [1000]
            $0.newTokenCount = 25
        },
    ]

    @Test("Sizes that make no sense", arguments: badPlans)
    func badPlan(_ example: BadPlan) async throws {
        var benchmark = Benchmark(.synthetic(.small, [.q4_0]))
        example.change(&benchmark.plan)
        do {
            _ = try await benchmark.run()
            Issue.record("nothing was thrown")
        } catch let error as Owl2Error {
            for piece in example.pieces { #expect(error.message.contains(piece), "\(error.message)") }
        }
    }

    @Test("Caches that the machine cannot hold")
    func tooManySequences() async throws {
        var plan = BenchmarkPlan()
        plan.promptTokenCounts = [2000]
        plan.batchSizes = [1, 1024]
        let configuration = SyntheticShape.published.configuration.decoder
        await expectError(.invalidInput, mentioning: "batch", "1024") {
            try plan.checkMemory(configuration, .f32)
        }
        plan.batchSizes = [1]
        try plan.checkMemory(configuration, .f16)
    }
}
