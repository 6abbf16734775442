import Foundation
import Owl2Core
import Testing

@testable import Owl2Tensor

@Suite struct ComputeTests {
    @Test("Any number of threads gives the same bits", arguments: [1, 2, 3, 7])
    func threads(count: Int) throws {
        var numbers = TestNumbers(5)
        let x = numbers.matrix(19, 300), weight = numbers.weights(500, 300, .float16), bias = numbers.array(500)
        let one = try Compute(threadCount: 1).product(x, weight, bias: bias)
        let many = try Compute(threadCount: count).product(x, weight, bias: bias)
        #expect(one.values == many.values)
    }

    @Test("Rows beyond a block of many give the same bits", arguments: [ElementType.float16, .q8_0])
    func manyRows(type: ElementType) throws {
        var numbers = TestNumbers(12)
        let compute = try Compute(threadCount: 3)
        let x = numbers.matrix(1100, 64), bias = numbers.array(40)
        let size = BlockKernelTests.Size(rows: 1100, outputs: 40, inputs: 64)
        let weight = TileKernelTests.weights(&numbers, size, type)
        let all = compute.product(x, weight, bias: bias)
        for row in [0, 549, 550, 1099] {
            #expect(compute.product(x.gathering([row]), weight, bias: bias).values == all[row: row])
        }
    }

    @Test("OpenBLAS gives the same numbers", arguments: floatTypes)
    func openBLAS(type: ElementType) throws {
        var numbers = TestNumbers(6)
        let x = numbers.matrix(11, 700), weight = numbers.weights(1100, 700, type), bias = numbers.array(1100)
        let own = try Compute(threadCount: 2).product(x, weight, bias: bias)
        let blas = try Compute(threadCount: 2, backend: .openblas).product(x, weight, bias: bias)
        expectClose(blas.values, own.values, absolute: 1e-4, relative: 1e-5)
        #expect(!Compute.openBLASCoreName.isEmpty)
    }

    @Test(
        "What follows a product is what follows its outputs",
        arguments: [1, 19, 600], [ComputeBackend.own, .openblas])
    func endings(rows: Int, backend: ComputeBackend) throws {
        var numbers = TestNumbers(21)
        let compute = try Compute(threadCount: 3, backend: backend), kernels = compute.kernels
        let x = numbers.matrix(rows, 64), target = numbers.matrix(rows, 333)
        let linear = Linear(
            weight: numbers.weights(333, 64, .float16), bias: numbers.array(333), compute: compute)
        let plain = linear(x)
        func each(_ change: (Int, UnsafeMutablePointer<Float>) -> Void) -> [Float] {
            let y = Matrix(rowCount: rows, columnCount: 333, values: plain.values)
            for row in 0..<rows { change(row, y.row(row)) }
            return y.values
        }

        let next = Linear(weight: numbers.weights(50, 333, .float16), compute: compute)
        for activation in [Activation.quickGELU, .gelu] {
            let activated = each { compute.apply(activation, $1, 333) }
            let inner = Matrix(rowCount: rows, columnCount: 333, values: activated)
            #expect(next(linear(linear.input(x), activation, for: next)).values == next(inner).values)
        }

        let sum = Matrix(rowCount: rows, columnCount: 333, values: target.values)
        linear.add(x, to: sum)
        #expect(sum.values == each { kernels.add(target.row($0), 333, $1) })

        let gate = Matrix(rowCount: rows, columnCount: 333, values: target.values)
        linear.multiply(x, intoSiLUOf: gate)
        for row in 0..<rows { kernels.silu_multiply(target.row(row), plain.row(row), 333) }
        #expect(gate.values == target.values)
    }

    @Test(
        "A layer's input that is prepared piece by piece is the one of all outputs",
        arguments: [1, 3, 40, 600], [ComputeBackend.own, .openblas])
    func inputs(rows: Int, backend: ComputeBackend) throws {
        let types: [(ElementType, ElementType)] = [
            (.q8_0, .q4_0), (.float16, .q8_0), (.q4_0, .float16), (.q6_k, .q4_k),
        ]
        for (type, nextType) in types {
            for threadCount in [1, 3] {
                var numbers = TestNumbers(UInt64(rows))
                let compute = try Compute(threadCount: threadCount, backend: backend), inner = 1280
                func linear(_ outputs: Int, _ inputs: Int, _ type: ElementType) -> Linear {
                    let size = BlockKernelTests.Size(rows: 0, outputs: outputs, inputs: inputs)
                    let weight = TileKernelTests.weights(&numbers, size, type)
                    return Linear(weight: weight, bias: numbers.array(outputs), compute: compute)
                }
                let first = linear(inner, 256, type), other = linear(inner, 256, type)
                let differing = linear(inner, 256, .q8_0), next = linear(33, inner, nextType)
                let x = numbers.matrix(rows, 256)

                let activated = first(x)
                for row in 0..<rows { compute.apply(.gelu, activated.row(row), inner) }
                #expect(next(first(first.input(x), .gelu, for: next)).values == next(activated).values)

                for up in [other, differing] {
                    let gate = first(x), factors = up(x)
                    for row in 0..<rows { compute.kernels.silu_multiply(gate.row(row), factors.row(row), inner) }
                    #expect(next(first.gating(up, x, for: next)).values == next(gate).values, "\(type) \(nextType)")
                }
            }
        }
    }

    @Test("OpenBLAS should know a processor with AVX2 or AVX-512")
    func openBLASCore() {
        func better(_ name: String, _ set: InstructionSet) -> String? {
            Compute.betterOpenBLASCoreName(than: name, on: set)
        }
        #expect(better("Prescott", .avx512) == "SkylakeX")
        #expect(better("Nehalem", .avx2) == "Haswell")
        #expect(better("Prescott", .baseline) == nil)
        for name in ["Haswell", "Zen", "SkylakeX"] {
            #expect(better(name, .avx2) == nil && better(name, .avx512) == nil)
        }
    }

    @Test("Every iteration of a loop runs once") func loops() {
        let pool = ThreadPool(threadCount: 3)
        for count in [0, 1, 2, 100, 1000] {
            let hits = Matrix(rowCount: 1, columnCount: count, values: [Float](repeating: 0, count: count))
            for _ in 0..<20 { pool.forEach(count) { hits.elements[$0] += 1 } }
            #expect(hits.values.allSatisfy { $0 == 20 })
        }
    }

    @Test("Loops of several callers take turns") func concurrentLoops() async {
        let pool = ThreadPool(threadCount: 2)
        let sums = await withTaskGroup(of: Float.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    let hits = Matrix(rowCount: 1, columnCount: 64, values: [Float](repeating: 0, count: 64))
                    for _ in 0..<50 { pool.forEach(64) { hits.elements[$0] += 1 } }
                    return hits.values.reduce(0, +)
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(sums == [3200, 3200, 3200, 3200])
    }

    @Test("A thread count that makes no sense is refused", arguments: [0, -1, 1025, Int.max])
    func threadCount(count: Int) {
        #expect { try Compute(threadCount: count) } throws: { ($0 as? Owl2Error)?.code == .invalidInput }
    }

    struct AttentionCase: CustomTestStringConvertible {
        let rows, heads, keyHeads, dimension, keys, keysPerRow: Int
        var testDescription: String { "\(rows) rows, \(heads)/\(keyHeads) heads of \(dimension), \(keys) keys" }
    }

    static let attentionCases = [
        (1, 1, 1, 2, 1, 1), (1, 4, 2, 16, 130, 1), (40, 4, 4, 24, 40, 0), (70, 6, 2, 8, 3, 1), (65, 2, 1, 128, 64, 0),
    ].map(AttentionCase.init)

    @Test("Attention against its formula", arguments: attentionCases, KeyValuePages.Storage.allCases)
    func attention(size: AttentionCase, storage: KeyValuePages.Storage) throws {
        var numbers = TestNumbers(9)
        let total = size.keys + (size.rows - 1) * size.keysPerRow
        let q = numbers.matrix(size.rows, size.heads * size.dimension, scale: 2)
        let k = numbers.matrix(total, size.keyHeads * size.dimension, scale: 2)
        let v = numbers.matrix(total, size.keyHeads * size.dimension)
        let compute = try Compute(threadCount: 2)
        let pages = KeyValuePages(headCount: size.keyHeads, headDimension: size.dimension, storage: storage)
        // in two parts, as a cache grows
        for part in [0..<total / 2, total / 2..<total] {
            append(k, v, rows: part, to: pages, compute)
        }
        let found = compute.attention(
            q, headCount: size.heads,
            groups: [
                AttentionGroup(
                    rows: 0..<size.rows, pages: pages, visibleKeys: size.keys, keysPerRow: size.keysPerRow)
            ])
        let absolute: [KeyValuePages.Storage: Float] = [.f32: 2e-6, .f16: 4e-3, .q8_0: 4e-2, .int16: 2e-3]
        expectClose(found.values, Self.formula(q, k, v, size), absolute: absolute[storage] ?? 0, relative: 1e-5)
    }

    /// softmax(q k^T / sqrt d) v in Double, one element after another.
    static func formula(_ q: Matrix, _ k: Matrix, _ v: Matrix, _ size: AttentionCase) -> [Float] {
        var result: [Float] = []
        for row in 0..<size.rows {
            let visible = size.keys + row * size.keysPerRow
            for head in 0..<size.heads {
                let from = head * size.dimension, keyFrom = head / (size.heads / size.keyHeads) * size.dimension
                let scores = (0..<visible).map { key in
                    (0..<size.dimension).reduce(0.0) {
                        $0 + Double(q.row(row)[from + $1]) * Double(k.row(key)[keyFrom + $1])
                    } / Double(size.dimension).squareRoot()
                }
                let most = scores.max() ?? 0
                let weights = scores.map { exp($0 - most) }
                for column in 0..<size.dimension {
                    let sum = (0..<visible).reduce(0.0) { $0 + weights[$1] * Double(v.row($1)[keyFrom + column]) }
                    result.append(Float(sum / weights.reduce(0, +)))
                }
            }
        }
        return result
    }

    /// Adds rows of keys and values, whose heads stand side by side.
    private func append(_ k: Matrix, _ v: Matrix, rows: Range<Int>, to pages: KeyValuePages, _ compute: Compute) {
        let new = pages.grow(by: rows.count)
        for (part, x) in [(KeyValuePart.keys, k), (.values, v)] {
            compute.store(
                part, x.row(rows.lowerBound), stride: x.columnCount, headStride: pages.headDimension, rows: new,
                heads: 0..<pages.headCount, in: pages)
        }
    }

    /// Queries of as many heads as the pages have, the first of them that of `firstRow`, under a causal mask.
    private func causalAttention(_ q: Matrix, _ pages: KeyValuePages, firstRow: Int, _ compute: Compute) -> Matrix {
        compute.attention(
            q, headCount: pages.headCount,
            groups: [
                AttentionGroup(rows: 0..<q.rowCount, pages: pages, visibleKeys: firstRow + 1, keysPerRow: 1)
            ])
    }

    @Test("A row's attention does not depend on the rows beside it", arguments: [KeyValuePages.Storage.f16, .int16])
    func attentionOfOneRow(storage: KeyValuePages.Storage) throws {
        var numbers = TestNumbers(10)
        let q = numbers.matrix(50, 64), k = numbers.matrix(50, 64), v = numbers.matrix(50, 64)
        let pages = KeyValuePages(headCount: 2, headDimension: 32, storage: storage)
        let compute = try Compute(threadCount: 2)
        append(k, v, rows: 0..<50, to: pages, compute)
        let all = causalAttention(q, pages, firstRow: 0, compute)
        for row in [0, 17, 49] {
            let alone = causalAttention(q.gathering([row]), pages, firstRow: row, compute)
            #expect(alone.values == all[row: row])
        }
    }

    @Test("Pages of used memory give what new ones give", arguments: KeyValuePages.Storage.allCases)
    func usedMemory(storage: KeyValuePages.Storage) throws {
        var numbers = TestNumbers(16)
        let rowCount = 2 * KeyValuePages.pageRowCount + 2
        let q = numbers.matrix(2, 512), k = numbers.matrix(rowCount, 512), v = numbers.matrix(rowCount, 512)
        let notNumbers = Matrix(
            rowCount: 2 * rowCount, columnCount: 512, values: Array(repeating: .nan, count: 2 * rowCount * 512))
        let compute = try Compute(threadCount: 2)
        func attention(to k: Matrix, _ v: Matrix) -> Matrix {
            let pages = KeyValuePages(headCount: 4, headDimension: 128, storage: storage)
            append(k, v, rows: 0..<k.rowCount, to: pages, compute)
            return causalAttention(q, pages, firstRow: rowCount - 2, compute)
        }
        let first = attention(to: k, v)
        _ = attention(to: notNumbers, notNumbers)
        #expect(attention(to: k, v).values == first.values)
        #expect(first.values.allSatisfy { $0.isFinite })
    }

    @Test("In integers, a key that is not finite reaches only the rows that see it") func notFiniteInIntegers() throws {
        var numbers = TestNumbers(15)
        let q = numbers.matrix(50, 32), k = numbers.matrix(50, 32), v = numbers.matrix(50, 32)
        (k.row(30)[3], v.row(40)[5]) = (.nan, .infinity)
        let pages = KeyValuePages(headCount: 1, headDimension: 32, storage: .int16)
        let compute = try Compute(threadCount: 2)
        append(k, v, rows: 0..<50, to: pages, compute)
        let found = causalAttention(q, pages, firstRow: 0, compute)
        for row in 0..<50 { #expect(found[row: row].allSatisfy { $0.isNaN == (row >= 30) }, "row \(row)") }
    }

    @Test("Heads of rows of several sequences go to their places, whichever thread stores them", arguments: [8, 1024])
    func sequences(dimension: Int) throws {
        var numbers = TestNumbers(14)
        let compute = try Compute(threadCount: 3), headCount = 3, lengths = [1, 70, 12]
        let k = numbers.matrix(lengths.reduce(0, +), headCount * dimension)
        let v = numbers.matrix(k.rowCount, k.columnCount)
        let sequences = lengths.map { _ in
            KeyValuePages(headCount: headCount, headDimension: dimension, storage: .f32)
        }
        let places = zip(sequences, lengths).flatMap { pages, length in pages.grow(by: length).map(pages.place) }
        #expect(sequences.map(\.count) == lengths)
        compute.pool.forEach(places.count * headCount) { task in
            let (row, head) = task.quotientAndRemainder(dividingBy: headCount)
            for (part, x) in [(KeyValuePart.keys, k), (.values, v)] {
                compute.store(
                    part, x.row(row) + head * dimension, headStride: dimension, heads: head..<head + 1,
                    at: places[row])
            }
        }
        var first = 0
        for (pages, length) in zip(sequences, lengths) {
            for row in 0..<length {
                for head in 0..<headCount {
                    let (page, slot) = (row / KeyValuePages.pageRowCount, row % KeyValuePages.pageRowCount)
                    let keys = pages.keys(page: page, head: head).assumingMemoryBound(to: Float.self)
                    let values = pages.values(page: page, head: head).assumingMemoryBound(to: Float.self)
                    let (key, value) = (k.row(first + row) + head * dimension, v.row(first + row) + head * dimension)
                    #expect(
                        (0..<dimension).allSatisfy {
                            keys[$0 * KeyValuePages.pageRowCount + slot] == key[$0]
                                && values[slot * dimension + $0] == value[$0]
                        })
                }
            }
            first += length
        }
    }

    @Test("Truncated pages are as if the rows had never been there") func truncation() throws {
        let compute = try Compute(threadCount: 2)
        var numbers = TestNumbers(11)
        let k = numbers.matrix(100, 8), other = numbers.matrix(100, 8)
        let pages = KeyValuePages(headCount: 1, headDimension: 8, storage: .f32)
        for rows in [other, k] {
            pages.truncate(to: 0)
            append(rows, rows, rows: 0..<100, to: pages, compute)
        }
        #expect(pages.count == 100)
        let keys = pages.keys(page: 1, head: 0).assumingMemoryBound(to: Float.self)
        #expect(keys[3 * KeyValuePages.pageRowCount + 5] == k.row(69)[3])
        #expect(pages.values(page: 1, head: 0).assumingMemoryBound(to: Float.self)[5 * 8 + 3] == k.row(69)[3])
    }
}
