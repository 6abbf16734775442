import Foundation
import Owl2Core
import Owl2Tensor
import Owl2TestSupport
import Testing

@testable import Owl2Decoder

/// The modality-adaptive decoder alone, on tiny weights.
struct DecoderTests {
    private let module: TinyModule
    private let inputs: Matrix
    private let modalities: [Modality]

    init() throws {
        module = try TinyModule(#require(Bundle.module.resourceURL).appendingPathComponent("Fixtures"))
        inputs = try module.matrix("embeddings")
        modalities = try module.integers("modality").compactMap(Modality.init(rawValue:))
    }

    private func decoder(
        replacing: [String: Any] = [:], without absent: Set<String> = [], threads: Int = 1,
        backend: ComputeBackend = .own
    ) throws -> ModalityAdaptiveDecoder {
        let configuration = try module.configuration(DecoderConfiguration.self, replacing: replacing)
        try configuration.validate()
        let loader = try module.loader(without: absent)
        let decoder = ModalityAdaptiveDecoder(
            loader.scope, configuration: configuration, compute: try Compute(threadCount: threads, backend: backend))
        #expect(try loader.finish() == [])
        return decoder
    }

    private static func scaling(_ kind: String) -> [String: Any] {
        kind == "plain" ? [:] : ["rope_scaling": ["type": kind, "factor": 2.0] as [String: Any]]
    }

    /// Runs some of the rows behind what a cache holds, and gives the logits of all of them.
    private func run(_ decoder: ModalityAdaptiveDecoder, _ range: Range<Int>, _ cache: KVCache) throws -> Matrix {
        let start = cache.count - range.lowerBound
        let rows = range.map { DecoderRow(sequence: 0, position: start + $0, modality: modalities[$0]) }
        return try decoder.forward(
            inputs.gathering(Array(range)), rows: rows, caches: [cache], logitRows: Array(rows.indices))
    }

    private func whole(_ decoder: ModalityAdaptiveDecoder) throws -> Matrix {
        try run(decoder, 0..<inputs.rowCount, KVCache(decoder.configuration))
    }

    @Test(arguments: ["plain", "linear", "dynamic"], ComputeBackend.allCases)
    func asTheReference(scaling: String, backend: ComputeBackend) throws {
        let decoder = try decoder(replacing: Self.scaling(scaling), backend: backend)
        let logits = try whole(decoder)
        #expect(logits.rowCount == 13 && logits.columnCount == 30)
        #expect(difference(logits.values, from: try module.matrix(scaling).values) == nil)
        for other in ["plain", "linear", "dynamic"] where other != scaling {
            #expect(difference(logits.values, from: try module.matrix(other).values) != nil)
        }
    }

    @Test func hiddenRowsAsTheReference() throws {
        let decoder = try decoder()
        let rows = modalities.enumerated().map { DecoderRow(sequence: 0, position: $0, modality: $1) }
        var seen: [Int] = []
        _ = try decoder.forward(inputs, rows: rows, caches: [KVCache(decoder.configuration)], logitRows: []) {
            index, hidden in
            seen.append(index)
            let expected = try? module.matrix("hidden.\(index)").values
            #expect(difference(hidden.values, from: expected ?? []) == nil)
        }
        #expect(seen == [0, 1, 2])
    }

    @Test func tiedEmbeddings() throws {
        let tied = try decoder(replacing: ["tie_word_embeddings": true], without: ["lm_head.weight"])
        #expect(difference(try whole(tied).values, from: try module.matrix("tied").values) == nil)
    }

    @Test func embeddingsAreRowsOfTheTable() throws {
        let decoder = try decoder()
        let rows = decoder.embed([0, 29, 7, 0])
        #expect(rows.rowCount == 4 && rows.columnCount == 32)
        #expect(rows[row: 0] == rows[row: 3] && rows[row: 0] != rows[row: 1] && rows[row: 1] != rows[row: 2])
        #expect(decoder.embed([]).rowCount == 0)
    }

    /// Whether rows come at once or one by one, the bits are the same; under dynamic scaling within the original length.
    @Test(arguments: ["plain", "linear"], [1, 3])
    func rowsOneByOneAreTheSame(scaling: String, threads: Int) throws {
        let decoder = try decoder(replacing: Self.scaling(scaling), threads: threads)
        let cache = KVCache(decoder.configuration)
        let single = try (0..<inputs.rowCount).flatMap { bits(try run(decoder, $0..<$0 + 1, cache)) }
        #expect(single == bits(try whole(decoder)))
        #expect(cache.count == inputs.rowCount)
        let chunked = KVCache(decoder.configuration)
        #expect(try [0..<5, 5..<6, 6..<13].flatMap { bits(try run(decoder, $0, chunked)) } == single)
    }

    /// Past the original length all positions change with every row: the last row is that of one pass.
    @Test func cachedRowsUnderDynamicScaling() throws {
        let decoder = try decoder(replacing: Self.scaling("dynamic"))
        let cache = KVCache(decoder.configuration)
        var last: [Float] = []
        for row in 0..<inputs.rowCount {
            last = try run(decoder, row..<row + 1, cache).values
            let pass = try run(decoder, 0..<row + 1, KVCache(decoder.configuration))
            #expect(difference(last, from: pass[row: row], tolerance: 1e-5) == nil, "row \(row)")
        }
        #expect(difference(last, from: try module.matrix("dynamic")[row: 12]) == nil)
        #expect(!decoder.needsOnePass(rowCount: 8) && decoder.needsOnePass(rowCount: 9))
        #expect(try !self.decoder().needsOnePass(rowCount: 1000))
    }

    /// Sequences of several lengths and modalities in one pass, each as it is alone.
    @Test(arguments: ["plain", "linear", "dynamic"], [1, 3])
    func severalSequencesAreWhatEachIsAlone(scaling: String, threads: Int) throws {
        let decoder = try decoder(replacing: Self.scaling(scaling), threads: threads)
        let parts = [0..<4, 2..<13, 5..<6, 7..<13]
        let together = parts.map { _ in KVCache(decoder.configuration) }
        let alone = parts.map { _ in KVCache(decoder.configuration) }
        for step in 0..<2 {  // all rows but the last, then the last ones
            var rows: [DecoderRow] = [], indices: [Int] = [], expected: [UInt32] = []
            for (sequence, part) in parts.enumerated() {
                let taken = step == 0 ? part.dropLast() : part.suffix(1)
                expected += taken.isEmpty ? [] : bits(try run(decoder, taken, part, alone[sequence]))
                indices += Array(taken)
                rows += taken.map {
                    DecoderRow(sequence: sequence, position: $0 - part.lowerBound, modality: modalities[$0])
                }
            }
            let logits = try decoder.forward(
                inputs.gathering(indices), rows: rows, caches: together, logitRows: Array(rows.indices))
            #expect(bits(logits) == expected, "step \(step)")
        }
        #expect(together.map(\.count) == parts.map(\.count))
    }

    private func run(
        _ decoder: ModalityAdaptiveDecoder, _ taken: Range<Int>, _ part: Range<Int>, _ cache: KVCache
    ) throws -> Matrix {
        let rows = taken.map { DecoderRow(sequence: 0, position: $0 - part.lowerBound, modality: modalities[$0]) }
        return try decoder.forward(
            inputs.gathering(Array(taken)), rows: rows, caches: [cache], logitRows: Array(rows.indices))
    }

    @Test func onlyTheWantedLogits() throws {
        let decoder = try decoder()
        let rows = modalities.enumerated().map { DecoderRow(sequence: 0, position: $0, modality: $1) }
        let all = try whole(decoder)
        func logits(_ wanted: [Int]) throws -> Matrix {
            try decoder.forward(inputs, rows: rows, caches: [KVCache(decoder.configuration)], logitRows: wanted)
        }
        #expect(bits(try logits([12])) == all[row: 12].map(\.bitPattern))
        #expect(bits(try logits([3, 9])) == (all[row: 3] + all[row: 9]).map(\.bitPattern))
        #expect(try logits([]).rowCount == 0)
    }

    @Test(arguments: ["plain", "dynamic"])
    func truncatedCachesGoOn(scaling: String) throws {
        let decoder = try decoder(replacing: Self.scaling(scaling))
        let cache = KVCache(decoder.configuration)
        let first = bits(try run(decoder, 0..<13, cache))
        for kept in [12, 7, 1, 0] {
            cache.truncate(to: kept)
            #expect(cache.count == kept)
            let again = bits(try run(decoder, kept..<13, cache))
            #expect(again == Array(first[(kept * 30)...]), "\(kept) rows kept")
        }
    }

    @Test(arguments: ["plain", "dynamic"])
    func cancellationLeavesCachesAsTheyWere(scaling: String) async throws {
        let decoder = try decoder(replacing: Self.scaling(scaling)), cache = KVCache(decoder.configuration)
        _ = try run(decoder, 0..<7, cache)
        let inputs = inputs.gathering(Array(7..<13))
        let rows = (7..<13).map { DecoderRow(sequence: 0, position: $0, modality: modalities[$0]) }
        let error = await errorWhenCancelled {
            _ = try decoder.forward(inputs, rows: rows, caches: [cache], logitRows: [5])
        }
        #expect(error is CancellationError)
        #expect(cache.count == 7)
        #expect(bits(try run(decoder, 7..<13, cache)) == Array(bits(try whole(decoder))[(7 * 30)...]))
    }

    @Test func aCacheGrowsInPages() throws {
        let decoder = try decoder()
        let cache = KVCache(decoder.configuration)
        #expect(cache.count == 0 && cache.byteCount == 0)
        _ = try run(decoder, 0..<1, cache)
        let page = 2 * 2 * 64 * 16 * MemoryLayout<Float>.stride  // layers, keys and values, rows, width
        #expect(cache.byteCount == page)
        _ = try run(decoder, 1..<13, cache)
        #expect(cache.byteCount == page)
    }
}
