import Testing

@testable import Owl2Tensor

@Suite struct WorkingMemoryTests {
    @Test("Memory can be written to its end", arguments: [0, 1, 63, 65_535, 65_537, 1_000_000, 1 << 22])
    func sizes(byteCount: Int) throws {
        let compute = try Compute(threadCount: 1)
        for _ in 0..<3 {
            let memory = WorkingMemory.allocate(byteCount: byteCount)
            #expect(UInt(bitPattern: memory) % 64 == 0)
            memory.initializeMemory(as: UInt8.self, repeating: 7, count: byteCount)
            WorkingMemory.deallocate(memory, byteCount: byteCount)
        }
        withExtendedLifetime(compute) {}
    }

    @Test("Pieces in use at once are apart, and more than is kept may be in use") func apart() async throws {
        let compute = try Compute(threadCount: 1)
        await withTaskGroup(of: Bool.self) { group in
            for task in 0..<4 {
                group.addTask {
                    (0..<50).allSatisfy { round in
                        let size = (round % 7 + 1) << 20, mark = UInt8(task * 50 + round)
                        let memory = WorkingMemory.allocate(byteCount: size)
                        memory.storeBytes(of: mark, as: UInt8.self)
                        memory.storeBytes(of: mark, toByteOffset: size - 1, as: UInt8.self)
                        let other = WorkingMemory.allocate(byteCount: size)
                        other.storeBytes(of: 255, as: UInt8.self)
                        let isKept =
                            memory.load(as: UInt8.self) == mark
                            && memory.load(fromByteOffset: size - 1, as: UInt8.self) == mark
                        WorkingMemory.deallocate(other, byteCount: size)
                        WorkingMemory.deallocate(memory, byteCount: size)
                        return isKept
                    }
                }
            }
            for await isKept in group { #expect(isKept) }
        }
        withExtendedLifetime(compute) {}
    }
}
