import COwl2Kernels
import Owl2Core
import Testing

@testable import Owl2Tensor

/// Products by tiles of bfloat16 against their naive twin, on the instruction sets of this machine that have them.
@Suite struct TileKernelTests {
    static let sets = availableSets.filter { $0.tileKernels != nil }
    static let thisMachine: Comment = "this machine has no AMX with bfloat16"

    static let sizes = [
        (1, 1, 32), (2, 33, 96), (16, 16, 256), (17, 47, 1024), (31, 32, 1056), (33, 65, 288), (48, 15, 4096),
        (65, 130, 512), (5, 3, 11_008),
    ].map(BlockKernelTests.Size.init)

    /// The sizes with columns that a type can hold; floats also those that are no multiple of a step.
    static func sizes(_ type: ElementType) -> [BlockKernelTests.Size] {
        let block = type.blockElementCount
        let odd = [(3, 5, 1), (18, 20, 7), (33, 31, 588), (4, 40, 1025)].map(BlockKernelTests.Size.init)
        return (type.isQuantized ? sizes : sizes + odd).map {
            .init(rows: $0.rows, outputs: $0.outputs, inputs: ($0.inputs + block - 1) / block * block)
        }
    }

    static func weights(
        _ numbers: inout TestNumbers, _ size: BlockKernelTests.Size, _ type: ElementType
    ) -> WeightMatrix {
        type.isQuantized
            ? BlockKernelTests.weights(&numbers, size, type) : numbers.weights(size.outputs, size.inputs, type)
    }

    /// Prepares rows, whose memory is zeros at first, and multiplies them.
    static func product(
        _ kernels: owl2_tile_kernels, _ x: Matrix, _ weight: WeightMatrix, _ bias: [Float]?
    ) -> (prepared: [UInt8], outputs: [Float]) {
        let type = weight.elementType.kernelType, y = Matrix(uninitializedRows: x.rowCount, columns: weight.rowCount)
        let count = kernels.prepared_bytes(type, x.rowCount, x.columnCount)
        let workingCount = kernels.working_bytes(type, x.rowCount, weight.rowCount, x.columnCount)
        let rows = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 64)
        let working = UnsafeMutableRawPointer.allocate(byteCount: workingCount, alignment: 64)
        defer {
            rows.deallocate()
            working.deallocate()
        }
        rows.initializeMemory(as: UInt8.self, repeating: 0, count: count)
        for row in stride(from: 0, to: x.rowCount, by: 16) {
            kernels.prepare(
                type, x.row(row), x.columnCount, min(16, x.rowCount - row), x.columnCount,
                rows + kernels.prepared_bytes(type, row, x.columnCount))
        }
        withOptionalPointer(bias) { bias in
            kernels.product(
                type, rows, x.rowCount, weight.row(0), weight.rowCount, weight.columnCount, bias, y.elements,
                y.columnCount, working)
        }
        return (Array(UnsafeRawBufferPointer(start: rows, count: count)), y.values)
    }

    @Test(
        "Prepared rows and products equal the naive ones bit for bit",
        .enabled(if: !sets.isEmpty, thisMachine), arguments: sets, ElementType.allCases)
    func product(set: InstructionSet, type: ElementType) throws {
        let kernels = try #require(set.tileKernels).pointee
        for size in Self.sizes(type) {
            var numbers = TestNumbers(UInt64(size.inputs + size.rows))
            let bias = numbers.array(size.outputs), weight = Self.weights(&numbers, size, type)
            // whole blocks: what stands in rows that are missing is left open
            var values = numbers.array((size.rows + 15) / 16 * 16 * size.inputs, scale: 3)
            values[0] = 1e-39
            values[values.count - 1] = -3e-36
            let x = Matrix(rowCount: values.count / size.inputs, columnCount: size.inputs, values: values)
            let found = Self.product(kernels, x, weight, bias)
            let expected = Self.product(owl2_tile_kernels_reference, x, weight, bias)
            #expect(found.prepared == expected.prepared, "\(size.testDescription)")
            #expect(found.outputs == expected.outputs, "\(size.testDescription)")
            let some = x.gathering(Array(0..<size.rows))
            #expect(
                Self.product(kernels, some, weight, bias).outputs
                    == Array(expected.outputs.prefix(size.rows * size.outputs)), "\(size.testDescription)")
        }
    }

    @Test("Parts of floats multiply as the floats do", arguments: floatTypes)
    func precision(type: ElementType) throws {
        for size in Self.sizes(type) {
            var numbers = TestNumbers(UInt64(size.inputs))
            let x = numbers.matrix(size.rows, size.inputs), weight = numbers.weights(size.outputs, size.inputs, type)
            let found = Self.product(owl2_tile_kernels_reference, x, weight, nil).outputs
            expectClose(
                found, try Compute(threadCount: 1).product(x, weight).values,
                absolute: 2e-6 * Float(size.inputs).squareRoot(), relative: 1e-5, size.testDescription)
        }
    }

    /// What computes pictures: with this machine's tiles, with the naive ones, and without any.
    static func computes() throws -> [(name: String, compute: Compute)] {
        let compute = try Compute(threadCount: 3)
        return [
            ("this machine's", compute.forPictures),
            ("naive", Compute(compute, tileKernels: owl2_tile_kernels_reference)), ("none", compute),
        ]
    }

    @Test("A row's product does not depend on how many rows there are", arguments: [ElementType.float16, .q8_0])
    func rows(type: ElementType) throws {
        for (name, compute) in try Self.computes() {
            var numbers = TestNumbers(33)
            let size = BlockKernelTests.Size(rows: 1300, outputs: 72, inputs: 64)
            let x = numbers.matrix(size.rows, size.inputs), weight = Self.weights(&numbers, size, type)
            let all = compute.product(x, weight)
            for rows in [0..<1, 640..<641, 655..<690, 1299..<1300] {
                let some = compute.product(x.gathering(Array(rows)), weight)
                #expect(some.values == rows.flatMap { all[row: $0] }, "\(name), rows \(rows)")
            }
        }
    }

    @Test("Layers that hand on their input give the same bits", arguments: [ElementType.float32, .float16, .q8_0])
    func chains(type: ElementType) throws {
        for (name, compute) in try Self.computes() {
            var numbers = TestNumbers(34)
            let x = numbers.matrix(67, 96)
            let first = Linear(
                weight: Self.weights(&numbers, .init(rows: 0, outputs: 160, inputs: 96), type),
                bias: numbers.array(160), compute: compute)
            let second = Linear(
                weight: Self.weights(&numbers, .init(rows: 0, outputs: 40, inputs: 160), type), compute: compute)
            let norm = LayerNorm(
                weight: numbers.array(96), bias: numbers.array(96), epsilon: 1e-5, compute: compute)

            let inner = first(norm(x))
            for row in 0..<67 { compute.kernels.quick_gelu(inner.row(row), 160) }
            let found = second(first(norm(x, for: first), .quickGELU, for: second))
            #expect(found.values == second(inner).values, "\(name)")
        }
    }
}
