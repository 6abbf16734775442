import COwl2Kernels
import Foundation
import Owl2Core
import Testing

@testable import Owl2Tensor

/// From Float32 to stored types.
@Suite struct QuantizationTests {
    static let types: [ElementType] = [.float16, .bfloat16, .q8_0, .q4_0, .q4_k, .q6_k]
    static let tiers = [OWL2_TIER_BASELINE, OWL2_TIER_AVX2].filter { owl2_quantize_for($0) != nil }

    /// The stored bytes, or the index of the element that cannot be stored.
    static func quantize(
        _ values: [Float], _ type: ElementType, _ tier: owl2_tier = OWL2_TIER_BASELINE
    ) throws -> (bytes: [UInt8], fault: Int?) {
        let function = try #require(owl2_quantize_for(tier))
        var bytes = [UInt8](repeating: 0xAA, count: type.byteCount(ofRow: values.count))
        let done = bytes.withUnsafeMutableBytes { function(type.kernelType, values, values.count, $0.baseAddress) }
        return (bytes, done == values.count ? nil : done)
    }

    static func dequantized(_ values: [Float], _ type: ElementType) throws -> [Float] {
        type.float32(ByteRegion(name: "blocks", copying: try quantize(values, type).bytes))
    }

    /// Normal numbers, by Box and Muller.
    static func normal(_ count: Int, seed: UInt64, scale: Float = 1) -> [Float] {
        var numbers = TestNumbers(seed)
        return (0..<count).map { _ in
            let radius = (-2 * log(max(1e-12, abs(numbers.next())))).squareRoot()
            return scale * radius * cos(Float.pi * numbers.next())
        }
    }

    /// Rows that are easy to get wrong, each of 512 elements.
    static let rows: [[Float]] = [
        normal(512, seed: 1), normal(512, seed: 2, scale: 1e-3), normal(512, seed: 3).map { $0 * $0 * $0 * $0 * $0 },
        [Float](repeating: 0, count: 512), [Float](repeating: -0.0, count: 512), [Float](repeating: 1.7, count: 512),
        [Float](repeating: -2.5, count: 512), normal(512, seed: 4).map(abs), normal(512, seed: 5).map { -abs($0) },
        (0..<512).map { $0 == 300 ? 1000 : 0 }, (0..<512).map { Float($0 % 31 - 15) / 2 },
        normal(512, seed: 6, scale: 1e-7), normal(512, seed: 7, scale: 1e-30),
        normal(512, seed: 8, scale: Float(bitPattern: 7136)),
        normal(512, seed: 9, scale: 1e4), normal(512, seed: 10).map { $0 + 100 },
        (0..<512).map { $0 % 2 == 0 ? Float(65504) : -65504 },
    ]

    @Test("All instruction sets give the same bits", arguments: types) func tiers(type: ElementType) throws {
        let names = Self.tiers.map { String(cString: owl2_tier_name($0)) }
        print("quantisation tested on \(names.joined(separator: ", "))")
        for (index, row) in Self.rows.enumerated() {
            let expected = try Self.quantize(row, type)
            #expect(expected.fault == nil, "row \(index)")
            for tier in Self.tiers.dropFirst() {
                let found = try Self.quantize(row, type, tier)
                #expect(found.bytes == expected.bytes && found.fault == nil, "row \(index)")
            }
        }
    }

    @Test("Half precision rounds to nearest even, at any length") func halves() throws {
        let halves = (0..<0x7C00).map { Float16(bitPattern: UInt16($0)) }
        var values = halves.map { Float($0) }
        values += zip(halves, halves.dropFirst()).map { (Float($0) + Float($1)) / 2 }
        values += values.map { $0.nextUp } + values.map { -$0.nextDown } + [65519.996, -0.0, .leastNonzeroMagnitude]
        for count in [values.count, 1, 2, 7, 8, 9, 33] {
            let part = Array(values.suffix(count))
            for tier in Self.tiers {
                let found = try Self.quantize(part, .float16, tier).bytes
                let expected = part.flatMap { value in
                    let bits = Float16(value).bitPattern
                    return [UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)]
                }
                #expect(found == expected)
            }
        }
    }

    @Test("The upper half of a Float32 rounds to nearest even") func brainFloats() throws {
        var numbers = TestNumbers(3)
        let values = (0..<4001).map { index -> Float in
            let value = numbers.next() * Float(sign: .plus, exponent: index % 200 - 100, significand: 1)
            return index % 3 == 0 ? Float(bitPattern: value.bitPattern & 0xFFFF_0000 | 0x8000) : value
        }
        let found = ElementType.bfloat16.float32(
            ByteRegion(name: "", copying: try Self.quantize(values, .bfloat16).bytes))
        for (value, stored) in zip(values, found) {
            let below = Float(bitPattern: value.bitPattern & 0xFFFF_0000)
            let above = Float(bitPattern: (value.bitPattern & 0xFFFF_0000) &+ 0x1_0000)
            let isTie = value.bitPattern & 0xFFFF == 0x8000
            let nearest = abs(value - below) < abs(above - value) ? below : above
            let even = below.bitPattern & 0x1_0000 == 0 ? below : above
            #expect(stored == (isTie ? even : nearest))
        }
    }

    @Test("Q8_0 and Q4_0 follow their formulas") func formulas() throws {
        for row in Self.rows.prefix(11) {
            let eight = try Self.quantize(row, .q8_0).bytes, four = try Self.quantize(row, .q4_0).bytes
            for block in 0..<16 {
                let x = Array(row[32 * block..<32 * block + 32]), most = x.map(abs).max() ?? 0
                let step = most / 127, inverse = step == 0 ? 0 : 1 / step
                #expect(
                    eight[34 * block + 2..<34 * block + 34].map { Int8(bitPattern: $0) }
                        == x.map { Int8(($0 * inverse).rounded(.toNearestOrAwayFromZero)) })
                let largest = x.first { abs($0) == most } ?? 0
                let wide = largest / -8, narrow = wide == 0 ? 0 : 1 / wide
                let q = x.map { UInt8(min(15, ($0 * narrow + 8.5).rounded(.towardZero))) }
                #expect(Array(four[18 * block + 2..<18 * block + 18]) == (0..<16).map { q[$0] | q[$0 + 16] << 4 })
            }
        }
    }

    /// The error's root mean square over that of the row.
    static func relativeError(_ row: [Float], _ type: ElementType) throws -> Double {
        let found = try dequantized(row, type)
        let error = zip(row, found).reduce(0.0) { $0 + pow(Double($1.0) - Double($1.1), 2) }
        return (error / row.reduce(0.0) { $0 + pow(Double($1), 2) }).squareRoot()
    }

    @Test(
        "The errors on normal numbers are as small as they were measured to be",
        arguments: [
            (.q8_0, 0.0055), (.q4_0, 0.0875), (.q4_k, 0.0712), (.q6_k, 0.0169),
        ] as [(ElementType, Double)])
    func errors(type: ElementType, limit: Double) throws {
        #expect(try Self.relativeError(Self.normal(1 << 16, seed: 11, scale: 0.02), type) < limit)
        #expect(try Self.relativeError(Self.normal(1 << 16, seed: 12, scale: 50), type) < limit)
    }

    @Test("The searches beat scales from the smallest and largest element") func searches() throws {
        let row = Self.normal(1 << 15, seed: 13).map { $0 * abs($0) }
        var plain = 0.0
        for group in stride(from: 0, to: row.count, by: 32) {
            let x = row[group..<group + 32], low = min(0, x.min() ?? 0), step = ((x.max() ?? 0) - low) / 15
            plain += x.reduce(0.0) { $0 + pow(Double(((($1 - low) / step).rounded() * step + low) - $1), 2) }
        }
        let size = row.reduce(0.0) { $0 + pow(Double($1), 2) }
        #expect(try Self.relativeError(row, .q4_k) < 0.97 * (plain / size).squareRoot())
        for row in Self.rows.dropFirst(5).prefix(2) { #expect(try Self.relativeError(row, .q4_k) < 1e-3) }
    }

    @Test("What a type cannot hold is found", arguments: types) func faults(type: ElementType) throws {
        let sound = Self.normal(512, seed: 14)
        let largest: [ElementType: Float] = [
            .float16: 65520, .bfloat16: .greatestFiniteMagnitude, .q8_0: 127 * 65536, .q4_0: 8 * 65536, .q4_k: 1e8,
            .q6_k: 1e9,
        ]
        for tier in Self.tiers {
            for place in [0, 5, 255, 256, 511] {
                let limit = try #require(largest[type])
                for odd in [.nan, .infinity, -.infinity, limit, -limit] as [Float] {
                    var row = sound
                    row[place] = odd
                    #expect(try Self.quantize(row, type, tier).fault == place, "\(odd) at \(place)")
                }
            }
        }
    }

    @Test("Rows are converted on any number of threads, from any type", arguments: [1, 2, 3])
    func conversion(threads: Int) throws {
        let compute = try Compute(threadCount: threads)
        let columns = 512, rows = 301
        let values = Self.normal(rows * columns, seed: 15)
        let halves = ByteRegion(name: "halves", copying: try Self.quantize(values, .float16).bytes)
        let expected = try Self.quantize(ElementType.float16.float32(halves), .q4_k).bytes
        let conversion = RowConversion(columnCount: columns, from: .float16, to: .q4_k)
        var bytes = [UInt8](repeating: 0, count: expected.count)
        #expect(bytes.withUnsafeMutableBytes { compute.convert(halves, conversion, into: $0) } == nil)
        #expect(bytes == expected)

        var spoilt = Array(halves.bytes)
        for (row, column) in [(299, 1), (200, 77), (200, 78)] {
            spoilt.replaceSubrange(2 * (row * columns + column)..<2 * (row * columns + column) + 2, with: [0, 0x7C])
        }
        let fault = bytes.withUnsafeMutableBytes {
            compute.convert(ByteRegion(name: "spoilt", copying: spoilt), conversion, into: $0)
        }
        #expect(fault == UnstorableElement(row: 200, column: 77, value: .infinity))
    }
}
