import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Memory for activations, which is kept for the next matrix of its size: memory fresh from the system costs more to touch
/// than most operations cost to compute.
///
/// What is kept is bounded, and given back when the last ``Compute`` ends.
final class WorkingMemory: Sendable {
    /// Bytes kept at most.
    private static let mostKeptByteCount = 192 << 20
    /// So little stands on a thread's stack while it is in use: with what aligns it, as much as a temporary allocation may.
    private static let mostStackByteCount = 1024 - alignment
    /// Smaller pieces are left to the allocator, which keeps them itself.
    private static let leastKeptByteCount = 16 << 10
    private static let alignment = 64
    private static let largePageByteCount = 2 << 20

    private struct State {
        var kept: [Int: [Address]] = [:]
        var keptByteCount = 0
        var userCount = 0
    }

    private struct Address: @unchecked Sendable {
        // Unchecked: memory that nobody uses.
        let pointer: UnsafeMutableRawPointer
    }

    static let shared = WorkingMemory()
    private let state = Mutex(State())

    /// Memory of at least a size, aligned to 64 bytes, with any content.
    static func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
        let size = sizeClass(byteCount)
        return shared.takeKept(size) ?? fromSystem(size)
    }

    /// Rows of large matrices are kilobytes apart: in the system's large pages, where it has them, a processor finds more of
    /// them without a walk through its tables.
    private static func fromSystem(_ size: Int) -> UnsafeMutableRawPointer {
        guard size >= largePageByteCount else { return .allocate(byteCount: size, alignment: alignment) }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: largePageByteCount)
        #if os(Linux)
            // Advice: where the system has no such pages, nothing changes.
            _ = madvise(memory, size / largePageByteCount * largePageByteCount, MADV_HUGEPAGE)
        #endif
        return memory
    }

    /// Runs `body` with memory of at least a size, or with none for a size of 0.
    static func with<Result>(byteCount: Int, _ body: (UnsafeMutableRawPointer?) -> Result) -> Result {
        guard byteCount > 0 else { return body(nil) }
        if byteCount <= mostStackByteCount {
            return withUnsafeTemporaryAllocation(byteCount: mostStackByteCount + alignment, alignment: 16) {
                body($0.baseAddress?.alignedUp(toMultipleOf: alignment))
            }
        }
        let memory = allocate(byteCount: byteCount)
        defer { deallocate(memory, byteCount: byteCount) }
        return body(memory)
    }

    /// Runs `body` with memory for some floats.
    static func withFloats<Result>(count: Int, _ body: (UnsafeMutablePointer<Float>) -> Result) -> Result {
        with(byteCount: max(1, count) * MemoryLayout<Float>.stride) { memory in
            guard let memory else { preconditionFailure("memory of no bytes") }
            return body(memory.bindMemory(to: Float.self, capacity: max(1, count)))
        }
    }

    /// Gives memory back that was allocated with the same size.
    static func deallocate(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
        let size = sizeClass(byteCount)
        guard size >= leastKeptByteCount else { return pointer.deallocate() }
        for unused in shared.keep(Address(pointer: pointer), size) { unused.pointer.deallocate() }
    }

    /// Counts those who compute; memory is kept while there are any.
    func addUser() { state.withLock { $0.userCount += 1 } }

    func removeUser() {
        let unused = state.withLock { state -> [Address] in
            state.userCount -= 1
            guard state.userCount == 0 else { return [] }
            defer { (state.kept, state.keptByteCount) = ([:], 0) }
            return state.kept.values.flatMap { $0 }
        }
        for address in unused { address.pointer.deallocate() }
    }

    /// Sizes are rounded up by at most an eighth, so that similar ones share memory.
    private static func sizeClass(_ byteCount: Int) -> Int {
        let step = max(alignment, 1 << max(0, Int.bitWidth - 4 - max(1, byteCount).leadingZeroBitCount))
        return (max(1, byteCount) + step - 1) / step * step
    }

    private func takeKept(_ size: Int) -> UnsafeMutableRawPointer? {
        guard size >= Self.leastKeptByteCount else { return nil }
        return state.withLock { state -> Address? in
            guard let address = state.kept[size]?.popLast() else { return nil }
            state.keptByteCount -= size
            return address
        }?.pointer
    }

    /// Keeps memory, and gives what is not kept any longer: where there is no more room, whatever was kept before, which
    /// nobody has asked for lately.
    private func keep(_ address: Address, _ size: Int) -> [Address] {
        state.withLock { state in
            guard state.userCount > 0, size <= Self.mostKeptByteCount else { return [address] }
            var unused: [Address] = []
            if state.keptByteCount + size > Self.mostKeptByteCount {
                unused = state.kept.values.flatMap { $0 }
                (state.kept, state.keptByteCount) = ([:], 0)
            }
            state.kept[size, default: []].append(address)
            state.keptByteCount += size
            return unused
        }
    }
}
