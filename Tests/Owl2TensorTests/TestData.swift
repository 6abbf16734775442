import Testing

@testable import Owl2Tensor
import Owl2Core

/// Numbers from a seed, the same on every machine.
struct TestNumbers {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed &* 2 &+ 1 }

    mutating func next() -> Float {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(Int64(bitPattern: state) >> 33) / Float(1 << 30)
    }

    mutating func array(_ count: Int, scale: Float = 1) -> [Float] {
        (0..<count).map { _ in next() * scale }
    }

    mutating func matrix(_ rows: Int, _ columns: Int, scale: Float = 1) -> Matrix {
        Matrix(rowCount: rows, columnCount: columns, values: array(rows * columns, scale: scale))
    }

    /// Weights of a storage type, and the numbers that they stand for.
    mutating func weights(_ rows: Int, _ columns: Int, _ type: ElementType) -> WeightMatrix {
        let values = array(rows * columns, scale: 0.5)
        let bytes: [UInt8]
        switch type {
        case .float32:
            bytes = values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) } }
        case .bfloat16:
            bytes = values.flatMap { value in (2..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) } }
        case .float16:
            bytes = values.flatMap { value in (0..<2).map { UInt8(truncatingIfNeeded: halfBits(value) >> ($0 * 8)) } }
        case .q8_0, .q4_0, .q4_k, .q6_k: preconditionFailure("blocks are made by a quantiser")
        }
        // one byte in front: stored weights have any alignment
        let region = ByteRegion(name: "weights", copying: [0] + bytes)
        return WeightMatrix(
            rowCount: rows, columnCount: columns, elementType: type, storage: region[1..<region.count])
    }
}

extension TestNumbers {
    /// The same weights as Float32.
    func wide(_ weight: WeightMatrix) -> WeightMatrix {
        let values = weight.elementType.float32(weight.storage)
        return WeightMatrix(
            rowCount: weight.rowCount, columnCount: weight.columnCount, elementType: .float32,
            storage: ByteRegion(name: "wide", copying: values.withUnsafeBytes { Array($0) }))
    }
}

/// The half below a number in magnitude.
func halfBits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    let sign = UInt16(truncatingIfNeeded: (bits >> 16) & 0x8000)
    let exponent = Int((bits >> 23) & 0xff) - 112
    guard exponent > 0 else { return sign }
    return sign | UInt16(truncatingIfNeeded: (UInt32(exponent) << 10) | ((bits >> 13) & 0x3ff))
}

/// Compares element by element: `|a - b| <= absolute + relative * |b|`; NaN fails.
func expectClose(
    _ found: [Float], _ expected: [Float], absolute: Float = 0, relative: Float = 1e-5, _ what: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(found.count == expected.count, sourceLocation: sourceLocation)
    var worst = 0, worstExcess = -Float.infinity, failures = 0
    for index in 0..<min(found.count, expected.count) {
        let difference = abs(found[index] - expected[index])
        let allowed = absolute + relative * abs(expected[index])
        if !(difference <= allowed) { failures += 1 }
        if !(difference - allowed <= worstExcess) { (worst, worstExcess) = (index, difference - allowed) }
    }
    let comment: Comment = "\(what): \(failures) of \(expected.count) differ, most at \(worst)"
    if failures > 0 {
        #expect(found[worst] == expected[worst], comment, sourceLocation: sourceLocation)
    }
    #expect(failures == 0, comment, sourceLocation: sourceLocation)
}

/// The instruction sets of this machine.
let availableSets = InstructionSet.allCases.filter(\.isAvailable)

/// The types that are stored element by element.
let floatTypes = ElementType.allCases.filter { !$0.isQuantized }

let blockTypes = ElementType.allCases.filter(\.isQuantized)
