import COwl2Kernels
import Testing

@testable import Owl2Tensor

/// Every kernel against its naive twin, on every instruction set that this machine has.
@Suite struct KernelTests {
    static var reference: owl2_kernels { owl2_kernels_reference }

    @Test("Which instruction sets are tested here") func instructionSets() {
        let absent = InstructionSet.allCases.filter { !$0.isAvailable }
        let tiles = TileKernelTests.sets.isEmpty ? "not on this machine" : "tested"
        print("kernels tested: \(availableSets); not on this machine: \(absent); tiles of bfloat16: \(tiles)")
        #expect(availableSets.contains(.baseline))
        #expect(availableSets.contains(.best))
    }

    struct ProductCase: CustomTestStringConvertible {
        let rows, outputs, inputs: Int
        var testDescription: String { "\(rows)x\(inputs) by \(outputs)" }
    }

    static let productCases = [
        (1, 1, 1), (1, 9, 17), (2, 7, 16), (3, 5, 1023), (4, 6, 1024), (5, 13, 1025), (7, 48, 33), (1, 64, 2500),
        (6, 49, 31), (9, 100, 2049), (33, 97, 129),
    ].map(ProductCase.init)

    @Test("Products with stored weights", arguments: availableSets, floatTypes)
    func product(set: InstructionSet, type: ElementType) throws {
        let kernels = try #require(set.kernels).pointee
        for size in Self.productCases {
            var numbers = TestNumbers(UInt64(size.inputs))
            let x = numbers.matrix(size.rows, size.inputs), bias = numbers.array(size.outputs)
            let weight = numbers.weights(size.outputs, size.inputs, type)
            let y = Matrix(uninitializedRows: size.rows, columns: size.outputs)
            let expected = Matrix(uninitializedRows: size.rows, columns: size.outputs)
            for (table, result) in [(kernels, y), (Self.reference, expected)] {
                table.product(
                    type.kernelType, x.elements, x.columnCount, x.rowCount, weight.row(0), size.outputs, size.inputs,
                    bias, result.elements, result.columnCount)
            }
            expectClose(
                y.values, expected.values, absolute: 2e-6 * Float(size.inputs).squareRoot(), relative: 1e-5,
                size.testDescription)
        }
    }

    @Test("A row's product does not depend on how many rows there are", arguments: availableSets, floatTypes)
    func productOfOneRow(set: InstructionSet, type: ElementType) throws {
        let kernels = try #require(set.kernels).pointee
        var numbers = TestNumbers(3)
        let inputs = 2111, outputs = 71
        let x = numbers.matrix(13, inputs), weight = numbers.weights(outputs, inputs, type)
        let all = Matrix(uninitializedRows: 13, columns: outputs)
        kernels.product(
            type.kernelType, x.elements, inputs, 13, weight.row(0), outputs, inputs, nil, all.elements, outputs)
        for count in [1, 2, 5, 7] {
            let some = Matrix(uninitializedRows: count, columns: outputs)
            kernels.product(
                type.kernelType, x.row(3), inputs, count, weight.row(0), outputs, inputs, nil, some.elements, outputs)
            #expect((0..<count).allSatisfy { some[row: $0] == all[row: 3 + $0] }, "\(count) rows")
        }
    }

    @Test("Combinations of rows", arguments: availableSets)
    func combine(set: InstructionSet) throws {
        let kernels = try #require(set.kernels).pointee
        for (m, n, k) in [(1, 64, 16), (1, 3, 5), (2, 17, 9), (6, 64, 64), (7, 65, 33), (13, 96, 128), (32, 24, 1)] {
            for accumulate in [false, true] {
                var numbers = TestNumbers(UInt64(m * n))
                let a = numbers.matrix(m, k), b = numbers.matrix(k, n), start = numbers.matrix(m, n)
                let c = start.gathering(Array(0..<m)), expected = start.gathering(Array(0..<m))
                kernels.combine(a.elements, k, m, OWL2_F32, b.elements, n, n, k, c.elements, n, accumulate, nil)
                Self.reference.combine(
                    a.elements, k, m, OWL2_F32, b.elements, n, n, k, expected.elements, n, accumulate, nil)
                expectClose(c.values, expected.values, absolute: 1e-5, relative: 1e-5, "\(m) \(n) \(k)")
            }
        }
    }

    @Test("Widening every half and every bfloat16", arguments: availableSets)
    func widen(set: InstructionSet) throws {
        let kernels = try #require(set.kernels).pointee
        let bits = (0...UInt16.max).map { $0 } + [0x3c00]  // one more, for the tail
        for type in [OWL2_F16, OWL2_BF16] {
            var found = [Float](repeating: 0, count: bits.count), expected = found
            bits.withUnsafeBytes { kernels.widen(type, $0.baseAddress, bits.count, &found) }
            bits.withUnsafeBytes { Self.reference.widen(type, $0.baseAddress, bits.count, &expected) }
            for (index, (a, b)) in zip(found, expected).enumerated() {
                #expect(a.bitPattern == b.bitPattern || (a.isNaN && b.isNaN), "bits \(bits[index])")
            }
        }
        var sample: [Float] = [0, 0, 0, 0]
        kernels.widen(OWL2_F16, [0x3555, 0x0001, 0xfc00, 0x7bff] as [UInt16], 4, &sample)
        #expect(sample == [0.33325195, 5.9604645e-8, -.infinity, 65504])
    }

    @Test("Combinations of rows that are stored as halves", arguments: availableSets)
    func combineHalves(set: InstructionSet) throws {
        let kernels = try #require(set.kernels).pointee
        for (m, n, k) in [(1, 64, 16), (2, 17, 9), (3, 64, 7), (5, 65, 33), (36, 128, 64)] {
            var numbers = TestNumbers(UInt64(m + n))
            let a = numbers.matrix(m, k), b = numbers.weights(k, n, .float16)
            let c = Matrix(uninitializedRows: m, columns: n), expected = Matrix(uninitializedRows: m, columns: n)
            kernels.combine(a.elements, k, m, OWL2_F16, b.row(0), n, n, k, c.elements, n, false, b.row(0))
            Self.reference.combine(a.elements, k, m, OWL2_F16, b.row(0), n, n, k, expected.elements, n, false, nil)
            expectClose(c.values, expected.values, absolute: 1e-5, relative: 1e-5, "\(m) \(n) \(k)")
        }
    }

    @Test("Keys and values in a page", arguments: availableSets, [2, 8, 24, 32, 40, 64, 128])
    func pages(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(set.kernels).pointee, reference = Self.reference
        var numbers = TestNumbers(UInt64(dimension))
        var keys = [[UInt32]](repeating: [UInt32](repeating: 0, count: 64 * dimension + 64 * 8), count: 2),
            values = keys
        for (slot, count) in [(0, 1), (5, 1), (7, 4), (62, 2)] {
            let stride = dimension + 3
            var key = numbers.array(count * stride, scale: 9), value = numbers.array(count * stride, scale: 1e-6)
            if slot == 5 { (key[1], value[0]) = (.infinity, .nan) }
            for (index, table) in [kernels, reference].enumerated() {
                for store in [table.store_f32_keys, table.store_f16_keys, table.store_q8_keys] {
                    store?(key, stride, count, dimension, slot, &keys[index])
                }
                for store in [table.store_f32_values, table.store_f16_values, table.store_q8_values] {
                    store?(value, stride, count, dimension, slot, &values[index])
                }
            }
        }
        #expect(keys[0] == keys[1] && values[0] == values[1])
        var found = [Float](repeating: 0, count: 64 * dimension), expected = found
        for (widen, naive, page) in [
            (kernels.widen_q8_keys, reference.widen_q8_keys, keys[0]),
            (kernels.widen_q8_values, reference.widen_q8_values, values[0]),
        ] {
            widen?(page, dimension, &found)
            naive?(page, dimension, &expected)
            #expect(found.map(\.bitPattern) == expected.map(\.bitPattern))
        }
    }

    /// A page of 64 rows with keys and values of a table, as 16-bit integers with their scales, some rows stored at a time.
    private struct IntegerPage: Equatable {
        var keys: [UInt32], values: [UInt32]

        init(_ table: owl2_kernels, dimension: Int, notFiniteSlot: Int?, rowsAtATime: Int = 1) {
            keys = [UInt32](repeating: 0, count: 32 * dimension + 64)
            values = keys
            var numbers = TestNumbers(UInt64(dimension))
            var key: [Float] = [], value: [Float] = []
            for slot in 0..<64 {
                key += slot == 7 ? [Float](repeating: 0, count: dimension) : numbers.array(dimension, scale: 9)
                value += numbers.array(dimension, scale: 1e-6)
            }
            if let notFiniteSlot {
                (key[notFiniteSlot * dimension + 1], value[notFiniteSlot * dimension]) = (.infinity, .nan)
            }
            for slot in stride(from: 0, to: 64, by: rowsAtATime) {
                let count = min(rowsAtATime, 64 - slot), from = slot * dimension
                table.store_int16_keys(Array(key[from...]), dimension, count, dimension, slot, &keys)
                table.store_int16_values(Array(value[from...]), dimension, count, dimension, slot, &values)
            }
        }
    }

    @Test("Keys and values as 16-bit integers", arguments: availableSets, [2, 8, 24, 40, 64, 128])
    func integerPages(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(set.kernels).pointee
        let expected = IntegerPage(Self.reference, dimension: dimension, notFiniteSlot: 5)
        #expect(expected.keys.filter { $0 == Float.nan.bitPattern }.count == 1)
        for rows in [1, 2, 5, 64] {
            let page = IntegerPage(kernels, dimension: dimension, notFiniteSlot: 5, rowsAtATime: rows)
            #expect(page == expected, "\(rows) rows at a time")
        }
    }

    @Test("Scores and sums of values in integers", arguments: availableSets, [2, 8, 24, 40, 64, 128])
    func integerCombinations(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(set.kernels).pointee, reference = Self.reference
        let page = IntegerPage(reference, dimension: dimension, notFiniteSlot: nil)
        for (rows, keys) in [(1, 64), (2, 1), (6, 16), (7, 33), (13, 48), (36, 64)] {
            var numbers = TestNumbers(UInt64(rows))
            let integers = { (count: Int, most: Float) in numbers.array(count, scale: most).map { Int16($0.rounded()) }
            }
            let queries = integers(rows * dimension, 4095), powers = integers(rows * 64, 8191).map(abs)
            let scales = (0..<rows).map { Float($0 + 1) / 8191 }
            var found = [Float](repeating: 3, count: rows * 70), expected = found
            kernels.scores_int16(queries, rows, page.keys, keys, dimension, &found, 70)
            reference.scores_int16(queries, rows, page.keys, keys, dimension, &expected, 70)
            expectClose(found, expected, relative: 1e-6, "scores of \(rows) rows, \(keys) keys")
            found = [Float](repeating: 3, count: rows * dimension)
            expected = found
            // an odd number of values is filled up by a power of zero
            var filled = powers
            if keys % 2 == 1 { for row in 0..<rows { filled[row * 64 + keys] = 0 } }
            kernels.add_values_int16(filled, scales, rows, page.values, keys, dimension, &found)
            reference.add_values_int16(filled, scales, rows, page.values, keys, dimension, &expected)
            expectClose(found, expected, relative: 1e-6, "values of \(rows) rows, \(keys) keys")
        }
    }

    @Test("The greatest integers do not overflow", arguments: availableSets)
    func greatestIntegers(set: InstructionSet) throws {
        let kernels = try #require(set.kernels).pointee
        let columns = 128
        let ones = [Float](repeating: 1, count: columns)
        var keys = [UInt32](repeating: 0, count: 32 * columns + 64), values = keys
        kernels.store_int16_keys(ones, 0, 64, columns, 0, &keys)
        kernels.store_int16_values(ones, 0, 64, columns, 0, &values)
        var query = [Int16](repeating: 0, count: columns), powers = [Int16](repeating: 0, count: 64)
        let queryScale = kernels.quantize_int16(ones, columns, &query)
        var scores = [Float](repeating: 0, count: 64), sums = [Float](repeating: 0, count: columns)
        kernels.scores_int16(query, 1, keys, 64, columns, &scores, 64)
        expectClose(scores.map { $0 * queryScale }, [Float](repeating: Float(columns), count: 64), relative: 1e-6)
        var powerScale: Float = 0
        let sum = kernels.exponentials_int16([Float](repeating: 0, count: 64), 64, 1, 0, ones, &powers, &powerScale)
        #expect(sum == 64)
        kernels.add_values_int16(powers, [powerScale], 1, values, 64, columns, &sums)
        expectClose(sums.map { $0 / 4095 }, [Float](repeating: 64, count: columns), relative: 1e-6)
    }

    @Test("Powers as 16-bit integers", arguments: availableSets)
    func integerPowers(set: InstructionSet) throws {
        let kernels = try #require(set.kernels).pointee, reference = Self.reference
        for count in [0, 1, 7, 16, 63, 64] {
            for (scale, notFinite) in [(0.125, false), (3, false), (1, true)] as [(Float, Bool)] {
                var numbers = TestNumbers(UInt64(count))
                var x = numbers.array(64, scale: 40)
                if notFinite, count > 0 { x[count / 2] = .nan }
                let factors = numbers.array(64).map(abs), most = (x[..<count].filter { !$0.isNaN }).max() ?? 0
                var found = [Int16](repeating: 1, count: 64), expected = found
                var foundScale: Float = 0, expectedScale: Float = 0
                let sum = kernels.exponentials_int16(x, count, scale, most, factors, &found, &foundScale)
                let expectedSum = reference.exponentials_int16(
                    x, count, scale, most, factors, &expected, &expectedScale)
                #expect(foundScale.isNaN == (notFinite && count > 0) && sum.isNaN == foundScale.isNaN)
                guard !foundScale.isNaN else { continue }
                expectClose([sum, foundScale], [expectedSum, expectedScale], relative: 1e-5, "\(count)")
                #expect(found[count...].allSatisfy { $0 == 0 })
                #expect(zip(found, expected).allSatisfy { abs($0 - $1) <= 1 }, "\(count) \(scale)")
            }
        }
    }

    @Test("The greatest of some numbers", arguments: availableSets)
    func maximum(set: InstructionSet) throws {
        let kernels = try #require(set.kernels).pointee
        for count in Self.lengths {
            var numbers = TestNumbers(UInt64(count))
            let x = numbers.array(count, scale: 40)
            #expect(kernels.maximum(x, count) == x.max() && Self.reference.maximum(x, count) == x.max())
        }
    }

    static let lengths = [1, 2, 7, 16, 31, 64, 100, 1025]

    @Test("Softmax, also of huge and equal scores", arguments: availableSets)
    func softmax(set: InstructionSet) throws {
        let kernels = try #require(set.kernels).pointee
        for count in Self.lengths {
            for scale: Float in [0.125, 1, 60] {
                var numbers = TestNumbers(UInt64(count))
                var found = numbers.array(count, scale: 40), expected = found
                kernels.softmax(&found, count, scale)
                Self.reference.softmax(&expected, count, scale)
                // scores are rounded before the exponential: an error of their size's last bit is to be expected
                expectClose(found, expected, absolute: 1e-7, relative: 3e-4 * max(1, scale / 10), "\(count) \(scale)")
            }
        }
        var equal: [Float] = [1e30, 1e30, 1e30, 1e30]
        kernels.softmax(&equal, 4, 1)
        #expect(equal == [0.25, 0.25, 0.25, 0.25])
        var apart: [Float] = [-1e30, 0, 1e30]
        kernels.softmax(&apart, 3, 1)
        #expect(apart == [0, 0, 1])
    }

    @Test("Norms", arguments: availableSets)
    func norms(set: InstructionSet) throws {
        let kernels = try #require(set.kernels).pointee
        for count in Self.lengths {
            for scale: Float in [1e-3, 1, 1e4] {
                var numbers = TestNumbers(UInt64(count))
                let x = numbers.array(count, scale: scale), weight = numbers.array(count), bias = numbers.array(count)
                var found = [Float](repeating: 0, count: count), expected = found
                kernels.layer_norm(x, weight, bias, count, 1e-6, &found)
                Self.reference.layer_norm(x, weight, bias, count, 1e-6, &expected)
                expectClose(found, expected, absolute: 1e-5, relative: 1e-4, "layer norm \(count) \(scale)")
                kernels.rms_norm(x, weight, count, 1e-5, &found)
                Self.reference.rms_norm(x, weight, count, 1e-5, &expected)
                expectClose(found, expected, absolute: 1e-6, relative: 1e-5, "RMS norm \(count) \(scale)")
            }
        }
    }

    @Test("Activations, also of huge numbers and zero", arguments: availableSets)
    func activations(set: InstructionSet) throws {
        let kernels = try #require(set.kernels).pointee
        for count in Self.lengths {
            var numbers = TestNumbers(UInt64(count))
            let x = numbers.array(count, scale: 12) + [0, -0, 100, -100, 1e20, -1e20, 1e-20],
                up = numbers.array(x.count)
            func check(_ name: String, _ apply: (owl2_kernels, inout [Float]) -> Void) {
                var found = x, expected = x
                apply(kernels, &found)
                apply(Self.reference, &expected)
                expectClose(found, expected, absolute: 1e-6, relative: 3e-6, name)
            }
            check("quick GELU") { $0.quick_gelu(&$1, $1.count) }
            check("GELU") { $0.gelu(&$1, $1.count) }
            check("SiLU") { $0.silu_multiply(&$1, up, $1.count) }
            check("sum") { $0.add(up, $1.count, &$1) }
        }
    }

    @Test("Rotation of halves", arguments: availableSets)
    func rotation(set: InstructionSet) throws {
        let kernels = try #require(set.kernels).pointee
        for half in [1, 3, 8, 16, 20, 64] {
            var numbers = TestNumbers(UInt64(half))
            let cosine = numbers.array(half), sine = numbers.array(half)
            var found = numbers.array(2 * half), expected = found
            kernels.rotate_halves(&found, cosine, sine, half)
            Self.reference.rotate_halves(&expected, cosine, sine, half)
            expectClose(found, expected, absolute: 1e-6, relative: 1e-5, "\(half)")
        }
    }

    @Test("NaN and infinity come through", arguments: availableSets)
    func nonFinite(set: InstructionSet) throws {
        let kernels = try #require(set.kernels).pointee
        var x = [Float](repeating: 1, count: 40)
        x[21] = .nan
        var y = x
        kernels.quick_gelu(&y, y.count)
        #expect(y[21].isNaN && !y[20].isNaN)
        var product: [Float] = [0]
        kernels.product(OWL2_F32, x, 40, 1, [Float](repeating: 1, count: 40), 1, 40, nil, &product, 1)
        #expect(product[0].isNaN)
    }
}
