import Foundation
import Owl2Core
import Owl2Tensor
import Owl2TestSupport
import Testing

@testable import Owl2Checkpoint

/// GGUF files that are written here and read again; and those that are not finished.
@Suite struct GGUFWriterTests {
    static let plans = [
        GGUFTensorPlan(name: "v.class_embd", shape: [1, 1, 3], type: .float32),
        GGUFTensorPlan(name: "blk.0.attn_q.weight", shape: [2, 64], type: .q8_0),
        GGUFTensorPlan(name: "odd", shape: [5], type: .bfloat16),
    ]

    static func bytes(_ plan: GGUFTensorPlan) -> [UInt8] {
        (0..<plan.byteCount).map { UInt8(truncatingIfNeeded: $0 * 7 + plan.name.utf8.count) }
    }

    static func writer(to url: URL, _ plans: [GGUFTensorPlan] = plans) throws -> GGUFWriter {
        try GGUFWriter(to: url, metadata: [("general.architecture", .string("mplug_owl2"))], tensors: plans)
    }

    @Test("What is written is read, in pieces of any size", arguments: [1, 7, 1000]) func roundTrip(piece: Int) throws {
        let directory = try TemporaryDirectory(), url = directory.url.appendingPathComponent("a.gguf")
        try Data("old".utf8).write(to: url)
        let metadata: [(key: String, value: GGUFValue)] = [
            ("general.architecture", .string("mplug_owl2")), ("a", .uint32(.max)), ("b", .bool(true)),
            ("c", .number(0.5)), ("d", .number(0.1)), ("e", .array(["", "é\u{0}"])), ("f", .array([Float(1.5), -0.0])),
            ("g", .array([Int32.min, 3])), ("h", .array([0.1, 2])), ("i", .array([String]())),
        ]
        let writer = try GGUFWriter(to: url, metadata: metadata, tensors: Self.plans)
        for plan in Self.plans {
            let bytes = Self.bytes(plan)
            for start in stride(from: 0, to: bytes.count, by: piece) {
                try bytes[start..<min(bytes.count, start + piece)].withUnsafeBytes { try writer.write($0) }
            }
        }
        #expect(try Data(contentsOf: url) == Data("old".utf8))
        try writer.finish()
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.url.path) == ["a.gguf"])

        let files = try ModelFiles(at: url), file = try #require(files.gguf)
        #expect(try file.required("a", as: Int.self) == Int(UInt32.max))
        #expect(try file.required("b", as: Bool.self))
        #expect(try file.required("c", as: Double.self) == 0.5)
        #expect(try file.required("d", as: Double.self) == 0.1)
        #expect(try file.required("e", as: [String].self) == ["", "é\u{0}"])
        #expect(try file.required("f", as: [Float].self).map(\.bitPattern) == [Float(1.5), -0.0].map(\.bitPattern))
        #expect(try file.required("g", as: [Int].self) == [Int(Int32.min), 3])
        #expect(try file.required("h", as: [Double].self) == [0.1, 2])
        #expect(try file.required("i", as: [String].self).isEmpty)
        #expect(file.tensors.map(\.name) == Self.plans.map(\.name))
        #expect(file.tensors.map(\.shape) == Self.plans.map(\.shape))
        #expect(file.tensors.map(\.elementType) == Self.plans.map(\.type))
        for (tensor, plan) in zip(file.tensors, Self.plans) { #expect(tensor.contents().array == Self.bytes(plan)) }

        let checkpoint = try Checkpoint(files)
        #expect(checkpoint.tensors["model.layers.0.self_attn.q_proj.weight"]?.shape == [2, 64])
        #expect(checkpoint.tensors["model.vision_model.embeddings.cls_token"]?.shape == [1, 1, 3])
        #expect(checkpoint.tensors["odd"]?.name == "odd")
    }

    @Test("A writer that goes away before the end leaves what was there") func abandoned() throws {
        let directory = try TemporaryDirectory(), url = directory.url.appendingPathComponent("a.gguf")
        do {
            let writer = try Self.writer(to: url)
            try Self.bytes(Self.plans[0]).withUnsafeBytes { try writer.write($0) }
            let names = try FileManager.default.contentsOfDirectory(atPath: directory.url.path)
            #expect(names.count == 1 && names[0].hasPrefix("a.gguf.partial-"))
            // Not even under its temporary name does it pass for a GGUF file.
            let region = try ByteRegion(mappingFile: directory.url.appendingPathComponent(names[0]).path)
            #expect(!GGUFFile.isGGUF(region))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.url.path).isEmpty)
    }

    @Test("What cannot be written is an error") func unwritable() throws {
        let directory = try TemporaryDirectory()
        let absent = directory.url.appendingPathComponent("absent/a.gguf")
        expectError(.unwritableFile, "cannot write \(absent.path): No such file or directory") {
            try Self.writer(to: absent)
        }
        expectError(.unwritableFile, "it is a directory") { try Self.writer(to: directory.url) }
        let pipe = directory.url.appendingPathComponent("pipe")
        try #require(mkfifo(pipe.path, 0o600) == 0)
        expectError(.unwritableFile, pipe.path, "it is not a regular file") { try Self.writer(to: pipe) }
    }

    static let large = [GGUFTensorPlan(name: "large", shape: [1 << 20], type: .float32)]

    /// Limits the size of files, as a full disk does, while `body` runs.
    static func withSmallFiles<Result>(_ body: () throws -> Result) throws -> Result {
        signal(SIGXFSZ, SIG_IGN)
        var limit = rlimit()
        try #require(getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
        var small = limit
        small.rlim_cur = 1 << 16
        try #require(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &small) == 0)
        defer { setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) }
        return try body()
    }

    @Test("A full disk is an error, at the beginning or while writing, and nothing stays") func fullDisk() async {
        await #expect(processExitsWith: .success) {
            let directory = try TemporaryDirectory(), url = directory.url.appendingPathComponent("a.gguf")
            expectError(.unwritableFile, url.path, "File too large") {
                try Self.withSmallFiles { try Self.writer(to: url, Self.large) }
            }
            func writeAll() throws {
                let writer = try Self.writer(to: url, Self.large)
                try Self.withSmallFiles {
                    try [UInt8](repeating: 1, count: 1 << 20).withUnsafeBytes { try writer.write($0) }
                }
            }
            expectError(.unwritableFile, url.path, "File too large") { try writeAll() }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.url.path).isEmpty)
        }
    }

    /// A directory that a process and the one that it starts agree on.
    static func sharedDirectory(of process: pid_t) -> URL {
        FileManager.default.temporaryDirectory.appendingPathComponent("owl2-killed-\(process)")
    }

    @Test("A process that is killed while writing leaves nothing that looks finished") func killed() async throws {
        let directory = Self.sharedDirectory(of: getpid())
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        await #expect(processExitsWith: .signal(SIGKILL)) {
            let url = Self.sharedDirectory(of: getppid()).appendingPathComponent("a.gguf")
            let writer = try Self.writer(to: url)
            for plan in Self.plans { try Self.bytes(plan).withUnsafeBytes { try writer.write($0) } }
            kill(getpid(), SIGKILL)
            try writer.finish()
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        #expect(names.count == 1 && names[0].hasPrefix("a.gguf.partial-"))
        for name in names {
            let file = directory.appendingPathComponent(name)
            expectError(.unreadableFile, file.path) { try ModelFiles(at: file) }
        }
    }
}
