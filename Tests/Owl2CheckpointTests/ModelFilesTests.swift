import Foundation
import Owl2Checkpoint
import Owl2Core
import Owl2TestSupport
import Testing

/// The files of a model, in a directory and in memory.
struct ModelFilesTests {
    @Test func filesOfADirectoryAreMapped() throws {
        let directory = try TemporaryDirectory()
        try Data("text".utf8).write(to: directory.url.appendingPathComponent("b.json"))
        try Data().write(to: directory.url.appendingPathComponent("a.json"))
        let files = try ModelFiles(directory: directory.url)
        #expect(files.names == ["a.json", "b.json"])
        #expect(try files.file("b.json").array == Array("text".utf8))
        #expect(try files.file("a.json").count == 0)
        #expect(try files.fileIfPresent("b.json")?.count == 4)
        #expect(try files.fileIfPresent("c.json") == nil)
        expectError(.unreadableFile, directory.url.path + "/c.json") { try files.file("c.json") }
    }

    @Test func filesInMemoryAreFound() throws {
        let files = modelFiles(["b": [1], "a": []])
        #expect(files.names == ["a", "b"])
        #expect(try files.file("b").array == Array([1]))
        #expect(try files.fileIfPresent("c") == nil)
        expectError(.unreadableFile, "memory/c") { try files.file("c") }
    }

    @Test(arguments: ["", ".", "..", "../a", "a/b", "/a", "a\\b", "a\0"])
    func namesThatLeadElsewhereAreErrors(name: String) throws {
        let files = try ModelFiles(directory: FileManager.default.temporaryDirectory)
        for files in [files, modelFiles([name: []])] {
            expectError(.unreadableFile, "expected the plain name of a file") { try files.file(name) }
            expectError(.unreadableFile, "expected the plain name of a file") { try files.fileIfPresent(name) as Any }
        }
    }

    @Test func whatIsNoDirectoryIsAnError() throws {
        let directory = try TemporaryDirectory()
        let file = directory.url.appendingPathComponent("file")
        try Data("text".utf8).write(to: file)
        expectError(.unreadableFile, file.path, "it is a file; expected the directory") {
            try ModelFiles(directory: file)
        }
        let absent = directory.url.appendingPathComponent("absent")
        expectError(.unreadableFile, absent.path, "there is no such file or directory") {
            try ModelFiles(directory: absent)
        }
        let remote = try #require(URL(string: "https://example.org/model"))
        expectError(.unreadableFile, "https://example.org/model") { try ModelFiles(directory: remote) }
    }

    @Test func whatIsThereButNoFileIsAnError() throws {
        let directory = try TemporaryDirectory()
        let inner = directory.url.appendingPathComponent("config.json")
        try FileManager.default.createDirectory(at: inner, withIntermediateDirectories: false)
        let link = directory.url.appendingPathComponent("link.json")
        try FileManager.default.createSymbolicLink(atPath: link.path, withDestinationPath: "nowhere")
        let loop = directory.url.appendingPathComponent("loop.json")
        try FileManager.default.createSymbolicLink(atPath: loop.path, withDestinationPath: "loop.json")
        let files = try ModelFiles(directory: directory.url)
        expectError(.unreadableFile, inner.path, "it is a directory") { try files.fileIfPresent("config.json") as Any }
        expectError(.unreadableFile, link.path) { try files.fileIfPresent("link.json") as Any }
        expectError(.unreadableFile, loop.path) { try files.fileIfPresent("loop.json") as Any }
    }

    @Test(.enabled(if: geteuid() != 0, "the superuser may read every file"))
    func unreadableFilesAreErrors() throws {
        let directory = try TemporaryDirectory()
        let file = directory.url.appendingPathComponent("config.json")
        try Data("{}".utf8).write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: file.path)
        let files = try ModelFiles(directory: directory.url)
        expectError(.unreadableFile, file.path) { try files.fileIfPresent("config.json") as Any }
    }
}
