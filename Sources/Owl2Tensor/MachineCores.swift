#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension Compute {
    /// The number of processors that are online.
    public static var coreCount: Int { max(1, min(maximumThreadCount, sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
}
