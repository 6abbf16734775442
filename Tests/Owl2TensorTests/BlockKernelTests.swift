import COwl2Kernels
import Owl2Core
import Testing

@testable import Owl2Tensor

/// Kernels for GGUF's blocks against their naive twins, on every instruction set that this machine has.
@Suite struct BlockKernelTests {
    struct Size: CustomTestStringConvertible {
        let rows, outputs, inputs: Int
        var testDescription: String { "\(rows)x\(inputs) by \(outputs)" }
    }

    static let sizes = [
        (1, 1, 32), (1, 7, 480), (1, 33, 512), (2, 5, 544), (3, 31, 1024), (4, 32, 1056), (5, 33, 2816), (6, 64, 96),
        (8, 40, 1600), (9, 65, 544), (13, 70, 11_008), (20, 3, 4096), (67, 50, 544), (25, 5, 1120), (58, 19, 544),
        (96, 17, 1120), (103, 20, 4640), (300, 9, 4640),
    ].map(Size.init)

    /// The sizes with columns rounded up to whole blocks.
    static func sizes(_ type: ElementType) -> [Size] {
        let block = type.blockElementCount
        return sizes.map { Size(rows: $0.rows, outputs: $0.outputs, inputs: ($0.inputs + block - 1) / block * block) }
    }

    /// Blocks of random bytes with scales and minimums from 2^-8 to 2^-7, at an odd address.
    static func weights(_ numbers: inout TestNumbers, _ size: Size, _ type: ElementType) -> WeightMatrix {
        var bytes = [UInt8](repeating: 0, count: size.outputs * type.byteCount(ofRow: size.inputs))
        for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: Int(numbers.next() * 1e9)) }
        let halves = type == .q4_k ? [0, 2] : type == .q6_k ? [208] : [0]
        for block in stride(from: 0, to: bytes.count, by: type.blockByteCount) {
            for half in halves { bytes[block + half + 1] = 0x1C | bytes[block + half + 1] & 0x83 }
        }
        let region = ByteRegion(name: "blocks", copying: [0] + bytes)
        return WeightMatrix(
            rowCount: size.outputs, columnCount: size.inputs, elementType: type, storage: region[1..<region.count])
    }

    /// Prepares rows as a whole, or some columns at a time, the last ones first.
    static func prepare(_ x: Matrix, _ kernels: owl2_block_kernels, columnsAtOnce: Int = .max) -> [UInt64] {
        var words = [UInt64](repeating: .max, count: x.rowCount * owl2_prepared_bytes(x.columnCount) / 8)
        let step = min(columnsAtOnce, x.columnCount)
        words.withUnsafeMutableBytes { bytes in
            for from in stride(from: 0, to: x.columnCount, by: step).reversed() {
                for row in 0..<x.rowCount {
                    kernels.prepare(
                        x.row(row) + from, from, min(step, x.columnCount - from), x.columnCount, bytes.baseAddress, row,
                        x.rowCount)
                }
            }
        }
        return words
    }

    /// A prepared row's elements, and the bits of each one's scale, in the order of the columns instead of the table's own; and
    /// of stretches, which end with zeros, also each one's sums.
    struct PreparedRow: Equatable {
        var elements: [UInt8] = [], scales: [UInt32] = [], sums: [UInt32] = []
    }

    static func inOrder(
        _ prepared: [UInt64], rows: Int, _ kernels: owl2_block_kernels, _ columns: Int, hasStretches: Bool
    ) -> [PreparedRow] {
        let columnsInAll = hasStretches ? owl2_stretches(columns) * 512 : columns
        var taken: Set<Int> = []
        let result = prepared.withUnsafeBytes { bytes in
            (0..<rows).map { row in
                var result = PreparedRow()
                for column in 0..<columnsInAll {
                    let place = kernels.place(row, rows, columns, column)
                    taken.insert(place.element)
                    result.elements.append(bytes[place.element])
                    for (offset, isThere) in [(0, true), (64, hasStretches), (128, hasStretches)] where isThere {
                        let bits = bytes.loadUnaligned(fromByteOffset: place.scale + offset, as: UInt32.self)
                        if offset == 0 { result.scales.append(bits) } else { result.sums.append(bits) }
                    }
                }
                return result
            }
        }
        #expect(taken.count == rows * columnsInAll, "every element has a place of its own")
        return result
    }

    /// Calls a table's product with memory as it must be aligned.
    static func product(
        _ kernels: owl2_block_kernels, _ prepared: [UInt64], rows: Int, _ weight: WeightMatrix, _ bias: [Float]?
    ) -> Matrix {
        let y = Matrix(uninitializedRows: rows, columns: weight.rowCount)
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: prepared.count * 8, alignment: 64)
        let workingByteCount = kernels.working_bytes(rows, weight.columnCount)
        let working = UnsafeMutableRawPointer.allocate(byteCount: workingByteCount, alignment: 64)
        defer {
            bytes.deallocate()
            working.deallocate()
        }
        prepared.withUnsafeBytes { source in
            UnsafeMutableRawBufferPointer(start: bytes, count: source.count).copyMemory(from: source)
        }
        withOptionalPointer(bias) { bias in
            kernels.product(
                weight.elementType.kernelType, bytes, rows, weight.row(0), weight.rowCount, weight.columnCount, bias,
                y.elements, y.columnCount, working)
        }
        return y
    }

    @Test("Preparing activations", arguments: availableSets)
    func prepare(set: InstructionSet) throws {
        let kernels = try #require(set.blockKernels(for: .q8_0)).pointee
        for columns in [32, 64, 480, 512, 1056] {
            var numbers = TestNumbers(UInt64(columns))
            for rowCount in [3, OWL2_TILE_ROWS + 3, OWL2_TILE_ROWS + 27] {
                var values = numbers.array(rowCount * columns, scale: 7)
                for index in 0..<32 { values[columns + index] = index % 2 == 0 ? 0 : -0.0 }
                values[2 * columns] = 1e38
                let x = Matrix(rowCount: rowCount, columnCount: columns, values: values)
                let found = Self.inOrder(
                    Self.prepare(x, kernels), rows: rowCount, kernels, columns, hasStretches: set != .amx)
                let twin = owl2_block_kernels_reference
                let expected = Self.inOrder(
                    Self.prepare(x, twin), rows: rowCount, twin, columns, hasStretches: set != .amx)
                for row in 0..<rowCount { #expect(found[row] == expected[row], "row \(row) of \(columns) columns") }
            }
        }
    }

    @Test("Activations prepared some columns at a time are the same", arguments: availableSets + [nil])
    func prepareParts(set: InstructionSet?) throws {
        let kernels = try set.map { try #require($0.blockKernels(for: .q8_0)).pointee } ?? owl2_block_kernels_reference
        let part = Int(OWL2_PART_COLUMNS)
        for columns in [96, 128, 512, 544, 1280] {
            var numbers = TestNumbers(UInt64(columns))
            for rowCount in [1, OWL2_TILE_ROWS + 27] {
                let x = numbers.matrix(rowCount, columns)
                let whole = Self.prepare(x, kernels)
                for step in [part, 3 * part] {
                    #expect(Self.prepare(x, kernels, columnsAtOnce: step) == whole, "\(step) of \(columns) columns")
                }
            }
        }
    }

    @Test("Products equal the naive ones bit for bit", arguments: availableSets, blockTypes)
    func product(set: InstructionSet, type: ElementType) throws {
        let kernels = try #require(set.blockKernels(for: type)).pointee
        for size in Self.sizes(type) {
            var numbers = TestNumbers(UInt64(size.inputs + size.rows))
            let x = numbers.matrix(size.rows, size.inputs, scale: 3), bias = numbers.array(size.outputs)
            let weight = Self.weights(&numbers, size, type)
            let products = [kernels, owl2_block_kernels_reference].map {
                Self.product($0, Self.prepare(x, $0), rows: size.rows, weight, bias).values
            }
            let found = products[0], expected = products[1]
            if String(cString: kernels.name) == "SSE2" {  // has no fused multiply-add
                expectClose(found, expected, absolute: 1e-4, relative: 1e-5, size.testDescription)
            } else {
                #expect(found == expected, "\(size.testDescription)")
            }
        }
    }

    @Test("Sums of the largest magnitude", arguments: availableSets, blockTypes)
    func largestSums(set: InstructionSet, type: ElementType) throws {
        let kernels = try #require(set.blockKernels(for: type)).pointee
        let size = Size(rows: 6, outputs: 34, inputs: 512)
        var numbers = TestNumbers(1)
        // numbers and scales of blocks, as bits: Q8_0 -128; Q4_0 -8; Q4_K 15, 63, 63; Q6_K -32, -128
        let extremes: [ElementType: [(Range<Int>, UInt8)]] = [
            .q8_0: [(2..<34, 0x80)], .q4_0: [(2..<18, 0)], .q4_k: [(4..<144, 0xFF)],
            .q6_k: [(0..<192, 0), (192..<208, 0x80)],
        ]
        let random = Self.weights(&numbers, size, type)
        var bytes = withExtendedLifetime(random) { Array(random.storage.bytes) }
        for block in stride(from: 0, to: bytes.count, by: type.blockByteCount) {
            for (range, byte) in try #require(extremes[type]) {
                for index in range { bytes[block + index] = byte }
            }
        }
        let weight = WeightMatrix(
            rowCount: size.outputs, columnCount: size.inputs, elementType: type,
            storage: ByteRegion(name: "blocks", copying: bytes))
        for value: Float in [3, -3] {
            let values = [Float](repeating: value, count: size.rows * size.inputs)
            let x = Matrix(rowCount: size.rows, columnCount: size.inputs, values: values)
            let products = [kernels, owl2_block_kernels_reference].map {
                Self.product($0, Self.prepare(x, $0), rows: size.rows, weight, nil).values
            }
            expectClose(products[0], products[1], absolute: 0, relative: set == .baseline ? 1e-6 : 0)
        }
    }

    @Test("A row's product does not depend on its neighbours", arguments: availableSets, blockTypes)
    func productOfOneRow(set: InstructionSet, type: ElementType) throws {
        let kernels = try #require(set.blockKernels(for: type)).pointee
        var numbers = TestNumbers(5)
        let size = Size(rows: 19, outputs: 45, inputs: 1280)
        let x = numbers.matrix(size.rows, size.inputs), weight = Self.weights(&numbers, size, type)
        let all = Self.product(kernels, Self.prepare(x, kernels), rows: size.rows, weight, nil)
        for count in 1...15 {
            let some = x.gathering(Array(2..<2 + count))
            let y = Self.product(kernels, Self.prepare(some, kernels), rows: count, weight, nil)
            #expect((0..<count).allSatisfy { y[row: $0] == all[row: 2 + $0] }, "\(count) rows")
        }
    }

    @Test("Quantised activations cost little", arguments: blockTypes)
    func accuracy(type: ElementType) throws {
        let compute = try Compute(threadCount: 2)
        var numbers = TestNumbers(11)
        let size = Size(rows: 7, outputs: 50, inputs: 2048)
        let x = numbers.matrix(size.rows, size.inputs), weight = Self.weights(&numbers, size, type)
        let wide = numbers.wide(weight)
        let found = compute.product(x, weight), expected = compute.product(x, wide)
        let scale = expected.values.map(abs).max() ?? 0
        expectClose(found.values, expected.values, absolute: 0.01 * scale, relative: 0)
    }

    @Test("An activation that is not finite comes through", arguments: availableSets, blockTypes)
    func nonFinite(set: InstructionSet, type: ElementType) throws {
        let kernels = try #require(set.blockKernels(for: type)).pointee
        for value: Float in [.nan, .infinity, -.infinity] {
            for rows in [1, 14] {
                var numbers = TestNumbers(2)
                let size = Size(rows: rows, outputs: 33, inputs: 768)
                var values = numbers.array(rows * size.inputs)
                values[540] = value
                let x = Matrix(rowCount: rows, columnCount: size.inputs, values: values)
                let y = Self.product(
                    kernels, Self.prepare(x, kernels), rows: rows, Self.weights(&numbers, size, type), nil)
                #expect(y[row: 0].allSatisfy { $0.isNaN })
                #expect(rows == 1 || y[row: 1].allSatisfy { $0.isFinite })
            }
        }
    }
}
