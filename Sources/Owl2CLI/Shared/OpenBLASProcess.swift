import COwl2OpenBLAS
import Foundation
import Owl2Kit

/// Settings of OpenBLAS, which hold for the whole process and are therefore not the library's to make.
enum OpenBLASProcess {
    private static let variable = "OPENBLAS_CORETYPE"

    /// Sets the number of threads, and starts the program anew where OpenBLAS took the processor for an old one: it
    /// chooses its kernels before `main`, by an environment variable if that is set.
    static func prepare(threadCount: Int?) {
        if let name = Compute.betterOpenBLASCoreName, getenv(variable) == nil {
            setenv(variable, name, 1)
            restart()
        }
        if let threadCount { openblas_set_num_threads(Int32(threadCount)) }
    }

    /// Replaces the process by the same program with the same arguments. Where that fails, it goes on as it is.
    private static func restart() {
        guard let path = Bundle.main.executablePath else { return }
        execv(path, CommandLine.unsafeArgv)
    }
}
