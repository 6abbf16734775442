#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A read-only run of bytes that stays where it is for as long as any copy of the region lives: a mapped file, static
/// memory of the program, or an allocation.
///
/// Weights are used straight from such regions, so loading a checkpoint copies nothing.
public struct ByteRegion: @unchecked Sendable {
    // Unchecked: the bytes are never written after the region was made, and `owner` keeps them in place.

    /// What the bytes are called in error messages: a file's path, as a rule.
    public let name: String
    /// The bytes, valid while this value or a slice of it lives: hold on to the region while using them.
    public let bytes: UnsafeRawBufferPointer
    private let owner: AnyObject?

    /// The number of bytes.
    public var count: Int { bytes.count }

    private init(name: String, bytes: UnsafeRawBufferPointer, owner: AnyObject?) {
        self.name = name
        self.bytes = bytes
        self.owner = owner
    }

    /// A region over memory that lives as long as the program, such as data embedded in the executable.
    ///
    /// - Parameters:
    ///   - name: What to call the bytes in error messages.
    ///   - bytes: Memory that is never written or freed.
    public init(name: String, staticBytes bytes: UnsafeRawBufferPointer) {
        self.init(name: name, bytes: bytes, owner: nil)
    }

    /// A region with a private copy of the bytes.
    public init(name: String, copying content: some Collection<UInt8>) {
        let allocation = Allocation(byteCount: content.count)
        allocation.bytes.copyBytes(from: content)
        self.init(name: name, bytes: UnsafeRawBufferPointer(allocation.bytes), owner: allocation)
    }

    /// A region of private memory, 64-byte aligned, that `fill` writes once.
    ///
    /// - Parameters:
    ///   - name: What to call the bytes in error messages.
    ///   - byteCount: The size in bytes.
    ///   - fill: Writes the bytes, which begin as zeros.
    public init(
        name: String, byteCount: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Void
    ) rethrows {
        let allocation = Allocation(byteCount: byteCount)
        try fill(allocation.bytes)
        self.init(name: name, bytes: UnsafeRawBufferPointer(allocation.bytes), owner: allocation)
    }

    /// A region of private memory in whole pages, that `fill` writes once. The pages come as zeros from the system when they
    /// are touched, so that several threads can share that work.
    ///
    /// - Parameters:
    ///   - name: What to call the bytes in error messages.
    ///   - pageByteCount: The size in bytes, at least one.
    ///   - fill: Writes the bytes.
    /// - Throws: `Owl2Error` (`invalidInput`) when the system has not that much memory.
    package init(
        name: String, pageByteCount byteCount: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Void
    ) throws {
        let address = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let address, address != MAP_FAILED else {
            let reason = String(cString: strerror(errno))
            throw Owl2Error(.invalidInput, "\(name): no memory for \(byteCount) bytes: \(reason)", subject: name)
        }
        let mapping = Pages(UnsafeRawBufferPointer(start: address, count: byteCount))
        try fill(UnsafeMutableRawBufferPointer(start: address, count: byteCount))
        self.init(name: name, bytes: mapping.bytes, owner: mapping)
    }

    /// Maps a regular file into memory, read-only. Pages are read when they are touched.
    ///
    /// - Parameter path: The file's path.
    /// - Throws: `Owl2Error` (`unreadableFile`) when the path is absent, unreadable or not a regular file.
    public init(mappingFile path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Self.unreadable(path, String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.unreadable(path, String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Self.unreadable(
                path, status.st_mode & S_IFMT == S_IFDIR ? "it is a directory" : "it is not a regular file")
        }
        let size = Int(status.st_size)
        guard size > 0 else {
            self.init(name: path, bytes: UnsafeRawBufferPointer(start: nil, count: 0), owner: nil)
            return
        }
        guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw Self.unreadable(path, String(cString: strerror(errno)))
        }
        let mapping = Mapping(UnsafeRawBufferPointer(start: address, count: size))
        self.init(name: path, bytes: mapping.bytes, owner: mapping)
    }

    private static func unreadable(_ path: String, _ reason: String) -> Owl2Error {
        Owl2Error(.unreadableFile, "cannot read \(path): \(reason)", subject: path)
    }

    /// Lets go of the memory that holds the bytes, if they are a mapped file's, which is read again when it is needed.
    package func releasePages() {
        guard owner is Mapping, let start = bytes.baseAddress else { return }
        let pageSize = Int(getpagesize())
        // Whole pages alone: the first and the last may belong to a neighbour that is in use.
        let before = -Int(bitPattern: start) & (pageSize - 1)
        let byteCount = max(0, bytes.count - before) / pageSize * pageSize
        guard byteCount > 0 else { return }
        madvise(UnsafeMutableRawPointer(mutating: start + before), byteCount, MADV_DONTNEED)
    }

    /// The part of the region at the given byte offsets, which keeps the whole alive.
    ///
    /// - Parameter range: Offsets within `0 ..< count`; anything else is a programmer's error.
    public subscript(range: Range<Int>) -> ByteRegion {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside of \(name)")
        return ByteRegion(name: name, bytes: UnsafeRawBufferPointer(rebasing: bytes[range]), owner: owner)
    }
}

/// Pages of a mapped file, unmapped with the last region over them.
private final class Mapping {
    let bytes: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    deinit {
        munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
    }
}

/// Private pages, unmapped with the last region over them.
private final class Pages {
    let bytes: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    deinit {
        munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
    }
}

/// Zeroed memory, freed with the last region over it.
private final class Allocation {
    let bytes: UnsafeMutableRawBufferPointer

    init(byteCount: Int) {
        bytes = .allocate(byteCount: byteCount, alignment: 64)
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit {
        bytes.deallocate()
    }
}
