import Foundation
import Owl2Checkpoint
import Owl2Core
import Owl2Tensor

/// Random weights of a shape, in the types that a file of ``ModelQuantizer`` has, in memory of their own.
///
/// Random elements are quantised once for each type, about a million of them; every weight is then filled with whole
/// blocks of that sample, each stretch of it from another place. So the weights are as quick to make as memory is to
/// write, and every block is one that the quantiser made.
struct SyntheticWeights {
    private static let sampleCount = 1 << 20
    private static let deviation: Float = 0.02

    private let policy: WeightTypePolicy
    private let compute: Compute
    private var samples: [SampleKey: ByteRegion] = [:]

    private struct SampleKey: Hashable {
        let type: ElementType
        let isNormWeight: Bool
    }

    /// Makes all weights of a model.
    ///
    /// - Parameters:
    ///   - shape: The model's shape.
    ///   - type: The type of most of the weights.
    ///   - compute: The threads that fill memory.
    ///   - progress: Sees how much is done, from 0 to 1.
    /// - Throws: `Owl2Error` (`invalidInput`) when the machine has too little memory; `CancellationError`.
    static func checkpoint(
        _ shape: SyntheticShape, type: WeightType, compute: Compute, progress: (Double) -> Void = { _ in }
    ) throws -> Checkpoint {
        let name = "synthetic \(shape.rawValue) in \(type.rawValue)"
        let shapes = try tensorShapes(shape).sorted { $0.key < $1.key }
        var weights = SyntheticWeights(policy: WeightTypePolicy(type: type), compute: compute)
        let sizes = shapes.map { weights.byteCount($0.key, $0.value) }, total = sizes.reduce(0, +)
        guard total < Machine.memoryByteCount / 10 * 9 else {
            throw Owl2Error(
                .invalidInput, "\(name) needs \(total) bytes of memory, the machine has \(Machine.memoryByteCount)",
                subject: "synthetic")
        }
        var done = 0
        let tensors = try zip(shapes, sizes).map { entry, size in
            try Task.checkCancellation()
            progress(Double(done) / Double(total))
            done += size
            return try weights.tensor(entry.key, entry.value, fileName: name)
        }
        return Checkpoint(name: name, layout: "synthetic", tensors: tensors)
    }

    /// The shape of every weight that a model asks for.
    private static func tensorShapes(_ shape: SyntheticShape) throws -> [String: [Int]] {
        let loader = WeightLoader(Checkpoint(name: "nothing", layout: "none", tensors: []))
        _ = Owl2Model(loader, configuration: shape.configuration, compute: try Compute(threadCount: 1))
        return loader.askedShapes.merging(loader.optionalShapes) { asked, _ in asked }
    }

    private func byteCount(_ key: String, _ shape: [Int]) -> Int {
        let type = policy.choice(for: key, shape: shape).type
        return shape.dropLast().reduce(1, *) * type.byteCount(ofRow: shape.last ?? 1)
    }

    private init(policy: WeightTypePolicy, compute: Compute) {
        self.policy = policy
        self.compute = compute
    }

    private mutating func tensor(_ key: String, _ shape: [Int], fileName: String) throws -> StoredTensor {
        let type = policy.choice(for: key, shape: shape).type
        let sample = try sample(SampleKey(type: type, isNormWeight: shape.count == 1 && key.hasSuffix(".weight")))
        let storage = try ByteRegion(name: fileName, pageByteCount: byteCount(key, shape)) {
            fill(
                $0, with: sample, blockByteCount: type.blockByteCount,
                seed: key.utf8.reduce(0) { $0 &* 31 &+ UInt64($1) })
        }
        return StoredTensor(name: key, shape: shape, elementType: type, fileName: fileName, storage: storage)
    }

    /// Each stretch of the sample's length begins at another of its blocks.
    private func fill(
        _ target: UnsafeMutableRawBufferPointer, with sample: ByteRegion, blockByteCount: Int, seed: UInt64
    ) {
        let length = sample.count, blockCount = UInt64(length / blockByteCount)
        compute.pool.forEach((target.count + length - 1) / length) { task in
            var generator = SplitMix64(seed: seed &+ UInt64(task))
            let start = Int(generator.next() % blockCount) * blockByteCount
            let stretch = UnsafeMutableRawBufferPointer(
                rebasing: target[task * length..<min(target.count, (task + 1) * length)])
            let first = min(stretch.count, length - start)
            stretch.copyMemory(from: UnsafeRawBufferPointer(rebasing: sample.bytes[start..<start + first]))
            UnsafeMutableRawBufferPointer(rebasing: stretch[first...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: sample.bytes[..<(stretch.count - first)]))
        }
    }

    private mutating func sample(_ key: SampleKey) throws -> ByteRegion {
        if let sample = samples[key] { return sample }
        let width = 1024, rowCount = Self.sampleCount / width
        var generator = SplitMix64(seed: key.isNormWeight ? 2 : 1)
        let center: Float = key.isNormWeight ? 1 : 0
        let floats = ByteRegion(name: "sample", byteCount: Self.sampleCount * 4) { bytes in
            let values = bytes.bindMemory(to: Float.self)
            for index in values.indices { values[index] = center + Self.deviation * generator.nextBell() }
        }
        let conversion = RowConversion(columnCount: width, from: .float32, to: key.type)
        var fault: UnstorableElement?
        let byteCount = rowCount * key.type.byteCount(ofRow: width)
        let sample = ByteRegion(name: "sample", byteCount: byteCount) {
            fault = compute.convert(floats, conversion, into: $0)
        }
        guard fault == nil else {
            throw Owl2Error(.nonFiniteValue, "random weights do not fit \(key.type.storedName)", subject: "synthetic")
        }
        samples[key] = sample
        return sample
    }
}

extension SplitMix64 {
    /// A number of mean 0 and deviation 1 that is close to a normal distribution's: the sum of four uniform ones.
    fileprivate mutating func nextBell() -> Float {
        let bits = next()
        let sum = (0..<4).reduce(Float(0)) { $0 + Float(UInt16(truncatingIfNeeded: bits >> (16 * UInt64($1)))) }
        return (sum / 65_535 - 2) * Float(3).squareRoot()
    }
}
