import Foundation

/// What the system says about the machine and this process.
enum Machine {
    /// The processor's name, or its architecture where the system knows no name.
    static var processorName: String {
        #if canImport(Darwin)
            var size = 0
            guard sysctlbyname("machdep.cpu.brand_string", nil, &size, nil, 0) == 0, size > 1 else {
                return architecture
            }
            var bytes = [UInt8](repeating: 0, count: size)
            guard sysctlbyname("machdep.cpu.brand_string", &bytes, &size, nil, 0) == 0 else { return architecture }
            return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        #else
            return field("model name", in: "/proc/cpuinfo") ?? architecture
        #endif
    }

    private static var architecture: String {
        #if arch(x86_64)
            "x86-64"
        #elseif arch(arm64)
            "arm64"
        #else
            "unknown"
        #endif
    }

    /// Bytes of the machine's memory.
    static var memoryByteCount: Int { Int(clamping: ProcessInfo.processInfo.physicalMemory) }

    /// The most memory that this process has had in use at once, mapped files included, since it began or since
    /// ``forgetPeak()``.
    static var peakResidentByteCount: Int {
        #if canImport(Darwin)
            var usage = rusage()
            return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0
        #else
            return kilobytes("VmHWM")
        #endif
    }

    /// The memory that this process has in use now, mapped files included; 0 where the system does not say.
    static var residentByteCount: Int {
        #if canImport(Darwin)
            return 0
        #else
            return kilobytes("VmRSS")
        #endif
    }

    /// Lets the peak count from now on, where the system can.
    static func forgetPeak() {
        #if !canImport(Darwin)
            guard let file = FileHandle(forWritingAtPath: "/proc/self/clear_refs") else { return }
            // Where it is refused, the peak counts from the process's beginning.
            try? file.write(contentsOf: Data("5".utf8))
        #endif
    }

    private static func kilobytes(_ name: String) -> Int {
        let value = field(name, in: "/proc/self/status")?.split(separator: " ").first.flatMap { Int($0) } ?? 0
        return value * 1024
    }

    /// The value of the first line `name : value` of a file of the system.
    private static func field(_ name: String, in path: String) -> String? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            return line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        return nil
    }
}
