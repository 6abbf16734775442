import COwl2Kernels
import Owl2Core

/// What multiplies large matrices.
public enum ComputeBackend: String, Sendable, CaseIterable {
    /// The library's own kernels.
    case own
    /// OpenBLAS, for products of several rows. Its speed depends on whether it knows the processor:
    /// see ``Compute/openBLASCoreName``.
    case openblas
}

/// The instruction sets that the library has kernels for.
public enum InstructionSet: UInt32, Sendable, CaseIterable, CustomStringConvertible {
    /// What every processor of the architecture has: SSE2 or NEON.
    case baseline
    /// NEON with the dot product of Armv8.2.
    case neonDotProduct
    /// AVX2 with FMA and F16C.
    case avx2
    /// AVX2 with VNNI.
    case avxVNNI
    /// AVX-512 (F, BW, VL, DQ).
    case avx512
    /// AVX-512 with VNNI.
    case avx512VNNI
    /// AVX-512 with VNNI, and AMX for products of several rows with quantised weights and for all of pictures.
    case amx

    private var tier: owl2_tier { owl2_tier(rawValue) }

    /// The set's usual name.
    public var description: String { String(cString: owl2_tier_name(tier)) }

    /// Whether this machine has it.
    public var isAvailable: Bool { owl2_kernels_for(tier) != nil }

    /// The fastest set that this machine has.
    public static var best: InstructionSet { allCases.last { $0.isAvailable } ?? .baseline }

    package var kernels: UnsafePointer<owl2_kernels>? { owl2_kernels_for(tier) }

    package func blockKernels(for type: ElementType) -> UnsafePointer<owl2_block_kernels>? {
        owl2_block_kernels_for(tier, type.kernelType)
    }

    package var tileKernels: UnsafePointer<owl2_tile_kernels>? { owl2_tile_kernels_for(tier) }

    package var tileAttention: UnsafePointer<owl2_tile_attention>? { owl2_tile_attention_for(tier) }
}

/// The machine's means to compute: kernels for an instruction set, a backend for products, and threads.
///
/// Modules get it at loading and keep it. It may be shared by any number of models and tasks: parallel loops take turns.
/// On the library's own backend a result depends neither on the number of threads nor on how many rows are computed
/// together.
public final class Compute: @unchecked Sendable {
    // Unchecked: the tables of kernels are constant, and the pool synchronises itself.

    /// The number of threads.
    public var threadCount: Int { pool.threadCount }
    /// What multiplies matrices.
    public let backend: ComputeBackend
    /// The instruction set of the kernels.
    public let instructionSet: InstructionSet

    package let kernels: owl2_kernels
    private let blockKernels: [ElementType: owl2_block_kernels]
    /// For products of many rows that need not have the order of sums of a single row.
    let tileKernels: owl2_tile_kernels?
    /// The same for attention to pictures.
    let tileAttention: owl2_tile_attention?
    package let pool: ThreadPool

    /// The most threads that may be asked for.
    public static let maximumThreadCount = 1024

    /// Starts the threads.
    ///
    /// - Parameters:
    ///   - threadCount: Threads to use, or nil for one per core.
    ///   - backend: What multiplies matrices.
    ///   - instructionSet: The kernels to use, or nil for the best of this machine.
    /// - Throws: `Owl2Error` (`invalidInput`) for a thread count out of range or an instruction set that is absent.
    public init(
        threadCount: Int? = nil, backend: ComputeBackend = .own, instructionSet: InstructionSet? = nil
    ) throws {
        let threads = threadCount ?? Self.coreCount
        guard (1...Self.maximumThreadCount).contains(threads) else {
            throw Owl2Error(
                .invalidInput, "threads: expected 1 to \(Self.maximumThreadCount), found \(threads)", subject: "threads"
            )
        }
        let chosen = instructionSet ?? .best
        guard let kernels = chosen.kernels else {
            throw Owl2Error(.invalidInput, "this machine has no \(chosen)", subject: "instruction set")
        }
        self.kernels = kernels.pointee
        blockKernels = Dictionary(
            uniqueKeysWithValues: ElementType.allCases.filter(\.isQuantized).compactMap { type in
                chosen.blockKernels(for: type).map { (type, $0.pointee) }
            })
        self.backend = backend
        self.instructionSet = chosen
        tileKernels = nil
        tileAttention = nil
        pool = ThreadPool(threadCount: threads)
        WorkingMemory.shared.addUser()
    }

    /// The same threads and kernels, and tiles or none.
    init(_ other: Compute, tileKernels: owl2_tile_kernels?, tileAttention: owl2_tile_attention? = nil) {
        kernels = other.kernels
        blockKernels = other.blockKernels
        backend = other.backend
        instructionSet = other.instructionSet
        self.tileKernels = tileKernels
        self.tileAttention = tileAttention
        pool = other.pool
        WorkingMemory.shared.addUser()
    }

    /// The same means for pictures, whose rows always come together: products may use an order of sums that is slow for a
    /// single row, as tiles of bfloat16 do. A result still does not depend on which rows are computed together.
    package var forPictures: Compute {
        guard backend == .own else { return self }
        return Compute(
            self, tileKernels: instructionSet.tileKernels?.pointee,
            tileAttention: instructionSet.tileAttention?.pointee)
    }

    deinit {
        WorkingMemory.shared.removeUser()
    }

    /// The kernels for quantised weights of a type; another type is a programmer's error.
    func blockKernels(for type: ElementType) -> owl2_block_kernels {
        guard let kernels = blockKernels[type] else { preconditionFailure("\(type) has no blocks") }
        return kernels
    }

    /// Runs `body` for the rows of a matrix in parallel, several rows to a task where rows are short.
    package func forEachRow(of count: Int, width: Int, _ body: (Int) -> Void) {
        let rowsPerTask = max(1, 16_384 / max(1, width))
        pool.forEach((count + rowsPerTask - 1) / rowsPerTask) { task in
            for row in task * rowsPerTask..<min(count, (task + 1) * rowsPerTask) { body(row) }
        }
    }
}
