import COwl2Kernels
import Owl2Core
import Testing

@testable import Owl2Tensor

/// Attention to pictures: with tiles of bfloat16 where this machine has them, with their naive twin, and without.
@Suite struct PictureAttentionTests {
    struct Case: CustomTestStringConvertible {
        let pictures, rows, heads, dimension, keys: Int
        var testDescription: String {
            "\(pictures) pictures of \(rows) rows, \(heads) heads of \(dimension), \(keys) keys"
        }
    }

    static let cases = [
        (1, 1, 1, 2, 1), (2, 33, 2, 16, 40), (1, 161, 3, 64, 257), (2, 64, 2, 24, 100), (1, 5, 1, 128, 65),
        (3, 32, 1, 6, 31),
    ].map(Case.init)

    /// Queries, keys and values of all pictures, `[heads, 3, dimension]` in a row, of which a picture has `keys`; the first
    /// `rows` of them ask.
    struct Rows {
        let fused, queries: Matrix
        let size: Case

        init(_ size: Case, seed: UInt64) {
            var numbers = TestNumbers(seed)
            self.size = size
            fused = numbers.matrix(size.pictures * size.keys, size.heads * 3 * size.dimension, scale: 2)
            queries = numbers.matrix(size.pictures * size.rows, fused.columnCount, scale: 2)
        }

        func attention(_ compute: Compute, _ type: ElementType) -> Matrix {
            var numbers = TestNumbers(1)
            let weight = TileKernelTests.weights(&numbers, .init(rows: 0, outputs: 1, inputs: 32), type)
            let attention = PictureAttention(
                headCount: size.heads, headDimension: size.dimension, pictureCount: size.pictures,
                rowsPerPicture: size.keys, projectedBy: Linear(weight: weight, compute: compute))
            let rowsPerTask = 7, stride = 3 * size.dimension
            let tasksPerHead = (fused.rowCount + rowsPerTask - 1) / rowsPerTask
            compute.pool.forEach(size.heads * tasksPerHead) { task in
                let (head, first) = (task / tasksPerHead, task % tasksPerHead * rowsPerTask)
                let rows = first..<min(first + rowsPerTask, fused.rowCount)
                for (part, place) in [(KeyValuePart.keys, 1), (.values, 2)] {
                    attention.store(
                        part, fused.row(first) + head * stride + place * size.dimension, stride: fused.columnCount,
                        headStride: stride, rows: rows, heads: head..<head + 1)
                }
            }
            let asking = Matrix(uninitializedRows: queries.rowCount, columns: size.heads * size.dimension)
            asking.takeHeads(
                queries.row(0), stride: queries.columnCount, headStride: stride, rows: 0..<queries.rowCount,
                heads: 0..<size.heads, size.dimension)
            return attention(asking)
        }

        /// One picture's part number `part` of every head, side by side.
        private func heads(_ x: Matrix, _ rows: Range<Int>, part: Int) -> Matrix {
            var values: [Float] = []
            for row in rows {
                for head in 0..<size.heads {
                    let first = (head * 3 + part) * size.dimension
                    values += x[row: row][first..<first + size.dimension]
                }
            }
            return Matrix(rowCount: rows.count, columnCount: size.heads * size.dimension, values: values)
        }

        var expected: [Float] {
            var result: [Float] = []
            for picture in 0..<size.pictures {
                let asking = picture * size.rows..<(picture + 1) * size.rows
                let keys = picture * size.keys..<(picture + 1) * size.keys
                let picture = ComputeTests.AttentionCase(
                    rows: size.rows, heads: size.heads, keyHeads: size.heads, dimension: size.dimension,
                    keys: size.keys, keysPerRow: 0)
                result += ComputeTests.formula(
                    heads(queries, asking, part: 0), heads(fused, keys, part: 1), heads(fused, keys, part: 2), picture)
            }
            return result
        }
    }

    static func computes() throws -> [(name: String, compute: Compute)] {
        let compute = try Compute(threadCount: 3)
        let naive = Compute(compute, tileKernels: nil, tileAttention: owl2_tile_attention_reference)
        return [("none", compute), ("naive", naive), ("this machine's", compute.forPictures)]
    }

    @Test("Attention against its formula", arguments: cases, [ElementType.float32, .q8_0])
    func formula(size: Case, type: ElementType) throws {
        let rows = Rows(size, seed: 41), expected = rows.expected
        for (name, compute) in try Self.computes() {
            expectClose(
                rows.attention(compute, type).values, expected, absolute: type.isQuantized ? 1.6e-2 : 6e-6,
                relative: 1e-5, name)
        }
    }

    @Test(
        "Tiles give what their naive twin gives, but for powers that are rounded another way",
        .enabled(if: !TileKernelTests.sets.isEmpty, TileKernelTests.thisMachine),
        arguments: cases, [ElementType.float32, .q8_0])
    func twin(size: Case, type: ElementType) throws {
        let rows = Rows(size, seed: 44)
        let found = try Self.computes().suffix(2).map { rows.attention($0.compute, type).values }
        expectClose(found[1], found[0], absolute: type.isQuantized ? 3e-3 : 4e-6, relative: 1e-5)
    }

    @Test("A picture's attention does not depend on the pictures beside it", arguments: [ElementType.float32, .q8_0])
    func independence(type: ElementType) throws {
        let all = Rows(Case(pictures: 2, rows: 70, heads: 2, dimension: 32, keys: 70), seed: 42)
        for (name, compute) in try Self.computes() {
            let together = all.attention(compute, type)
            let alone = Rows(all, picture: 1).attention(compute, type)
            for row in 0..<70 { #expect(alone[row: row] == together[row: 70 + row], "\(name), row \(row)") }
        }
    }

    @Test("A key that is not finite makes every row NaN", arguments: [ElementType.float32, .q8_0])
    func notFinite(type: ElementType) throws {
        for (name, compute) in try Self.computes() {
            let rows = Rows(Case(pictures: 1, rows: 40, heads: 1, dimension: 32, keys: 50), seed: 43)
            rows.fused.row(30)[35] = .nan
            #expect(rows.attention(compute, type).values.allSatisfy { $0.isNaN }, "\(name)")
        }
    }
}

extension PictureAttentionTests.Rows {
    /// One picture of several.
    fileprivate init(_ all: Self, picture: Int) {
        func part(_ x: Matrix, _ count: Int) -> Matrix { x.gathering(Array(picture * count..<(picture + 1) * count)) }
        size = .init(
            pictures: 1, rows: all.size.rows, heads: all.size.heads, dimension: all.size.dimension, keys: all.size.keys)
        fused = part(all.fused, size.keys)
        queries = part(all.queries, size.rows)
    }
}
