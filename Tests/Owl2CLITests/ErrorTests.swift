import Foundation
import Testing

/// Whatever is wrong ends with one clear line and a status that is not 0.
@Suite("owl2's errors", .enabled(if: Program.isBuilt, Program.absence)) struct ErrorTests {
    struct Case: CustomTestStringConvertible {
        let arguments: [String]
        let pieces: [String]
        var testDescription: String { arguments.joined(separator: " ") }

        init(_ arguments: String..., mentioning pieces: String...) {
            self.arguments = arguments
            self.pieces = pieces
        }
    }

    static let misuses = [
        Case("fly", mentioning: "fly", "owl2 --help"),
        Case("ask", mentioning: "prompt", "owl2 ask --help"),
        Case("ask", "a", "b", mentioning: "'b'"),
        Case("ask", "--modle", "x", "y", mentioning: "--modle", "--model"),
        Case("ask", "--temperature", "nan", "x", mentioning: "temperature", "nan"),
        Case("ask", "--temperature", "-1", "x", mentioning: "temperature", "-1"),
        Case("ask", "--temperature", "1e99", "x", mentioning: "temperature", "inf"),
        Case("ask", "--temperature", "warm", "x", mentioning: "--temperature", "warm"),
        Case("ask", "--top-p", "0", "x", mentioning: "top-p"),
        Case("ask", "--top-k", "-1", "x", mentioning: "top-k", "-1"),
        Case("ask", "--min-p", "2", "x", mentioning: "min-p"),
        Case("ask", "--max-tokens", "0", "x", mentioning: "new tokens", "at least 1"),
        Case("ask", "--min-tokens", "600", "x", mentioning: "512", "600"),
        Case("ask", "--repetition-penalty", "0", "x", mentioning: "repetition penalty"),
        Case("ask", "--presence-penalty", "nan", "x", mentioning: "presence penalty"),
        Case("ask", "--frequency-penalty", "inf", "x", mentioning: "frequency penalty"),
        Case("ask", "--logit-bias", "-1=3", "x", mentioning: "logit bias", "-1"),
        Case("ask", "--logit-bias", "5", "x", mentioning: "--logit-bias", "id=x"),
        Case("ask", "--logit-bias", "5=nan", "x", mentioning: "logit bias", "nan"),
        Case("ask", "--logit-bias", "5=1", "--logit-bias", "5=2", "x", mentioning: "--logit-bias", "5"),
        Case("ask", "--seed", "-1", "x", mentioning: "--seed", "-1"),
        Case("ask", "--stop", "", "x", mentioning: "stop"),
        Case("ask", "--stop=", "x", mentioning: "stop"),
        Case("ask", "--stop", mentioning: "--stop"),
        Case("ask", "--threads", "0", "x", mentioning: "--threads", "0"),
        Case("ask", "--threads", "99999999999999999999", "x", mentioning: "--threads"),
        Case("ask", "--backend", "abacus", "x", mentioning: "--backend", "openblas"),
        Case("ask", "--fit", "squeeze", "x", mentioning: "--fit", "stretch"),
        Case("ask", "--format", "xml", "x", mentioning: "--format", "json"),
        Case("ask", "--logprobs", "2", "x", mentioning: "--logprobs", "json"),
        Case("ask", "--format", "json", "--logprobs", "-1", "x", mentioning: "--logprobs", "-1"),
        Case("ask", "--model", "", "x", mentioning: "--model"),
        Case("ask", "--image", "", "x", mentioning: "--image"),
        Case("classify", "x", mentioning: "--option"),
        Case("classify", "--option", "", "x", mentioning: "--option"),
        Case("tokenize", mentioning: "TEXT", "--lines"),
        Case("tokenize", "--decode", "1", "2", "x", mentioning: "--decode and TEXT"),
        Case("preprocess", "x.png", mentioning: "--output"),
        Case("trace", "--output", "x", mentioning: "--prompt"),
        Case("bench", "--synthetic", "70b", mentioning: "--synthetic", "small"),
        Case("bench", "--synthetic", "small", "--model", "x", mentioning: "--synthetic", "--model"),
        Case("bench", "--type", "q4_0", mentioning: "--type", "--synthetic"),
        Case("bench", "--synthetic", "small", "--type", "q4_0,q9", mentioning: "--type", "q4_0,q9"),
        Case("bench", "--prompt-tokens", "8,", mentioning: "--prompt-tokens", "8,"),
        Case("bench", "--prompt-tokens", "0", mentioning: "--prompt-tokens", "found 0"),
        Case("bench", "--new-tokens", "-3", mentioning: "--new-tokens", "-3"),
        Case("bench", "--images", "1000000", mentioning: "--images", "1000000"),
        Case("bench", "--batch", "0", mentioning: "--batch", "found 0"),
        Case("bench", "--repetitions", "1", mentioning: "--repetitions", "found 1"),
        Case("bench", "--threads", "0", mentioning: "--threads", "0"),
        Case("bench", "--isa", "avx9", mentioning: "--isa", "avx9"),
        Case("bench", "--work", "sleep", mentioning: "--work", "sleep"),
        Case("bench", "--kv", "q4", mentioning: "--kv", "q8_0"),
        Case("perplexity", mentioning: "--text", "--pairs", "neither"),
        Case("perplexity", "--text", "a", "--pairs", "b", mentioning: "--text", "--pairs", "both"),
        Case("perplexity", "--text", "a", "--window", "1", mentioning: "--window", "found 1"),
        Case("perplexity", "--pairs", "a", "--window", "9", mentioning: "--window", "--text"),
    ]

    @Test("Arguments that make no sense", arguments: misuses)
    func misuse(_ example: Case) throws {
        let result = try Program.run(Program.process(example.arguments))
        expectFailure(result, status: 64, mentioning: example.pieces)
    }

    static let picture = Program.picture("red-circle.png")
    static let neverWritten = FileManager.default.temporaryDirectory.appendingPathComponent("never-written").path
    static let failures = [
        Case("ask", "--model", "/nowhere", "x", mentioning: "/nowhere"),
        Case("ask", "--model", #filePath, "x", mentioning: #filePath, "directory"),
        Case("ask", "--model", Program.pictures.path, "x", mentioning: Program.pictures.path, "config.json"),
        Case("ask", "--image", "/nowhere.png", "x", mentioning: "/nowhere.png"),
        Case("ask", "--image", "/", "x", mentioning: "directory"),
        Case("ask", "--image", #filePath, "x", mentioning: #filePath, "PNG"),
        Case("ask", "--raw", "--image", picture, "x", mentioning: "0 image markers", "1 image"),
        Case("ask", "--raw", "<|image|>", mentioning: "1 image marker", "0 images"),
        Case("ask", String(repeating: "word ", count: 2000), mentioning: "rows", "512"),
        Case("ask", "--logit-bias", "768=1", "x", mentioning: "768"),
        Case("bench", "--prompt-tokens", "600", mentioning: "prompt-tokens", "600", "512"),
        Case("bench", "--model", "/nowhere", mentioning: "/nowhere"),
        Case("perplexity", "--text", "/nowhere.txt", mentioning: "/nowhere.txt"),
        Case("perplexity", "--pairs", "/nowhere.jsonl", mentioning: "/nowhere.jsonl"),
        Case("perplexity", "--pairs", #filePath, mentioning: #filePath, "line 1"),
        Case("ask", "--format", "json", "--logprobs", "769", "x", mentioning: "768", "769"),
        Case("classify", "--option", String(repeating: "word ", count: 2000), "x", mentioning: "rows", "512"),
        Case("tokenize", "--model", "/nowhere", "x", mentioning: "/nowhere"),
        Case("tokenize", "--decode", "768", mentioning: "768"),
        Case("tokenize", "--decode", "-3", mentioning: "-3"),
        Case("tokenize", "--decode", "one", mentioning: "one"),
        Case("tokenize", "--lines", "/nowhere", mentioning: "/nowhere"),
        Case("tokenize", "--lines", "/", mentioning: "directory"),
        Case("tokenize", "--lines", #filePath, mentioning: "line 1", "JSON"),
        Case("preprocess", #filePath, "--output", neverWritten, mentioning: #filePath),
        Case("preprocess", picture, "--output", "/nowhere/x", mentioning: "/nowhere/x"),
        Case("preprocess", picture, "--output", "/dev/null", mentioning: "/dev/null"),
        Case("trace", "--prompt", "<|image|>", "--output", neverWritten, mentioning: "1 image marker"),
        Case("trace", "--prompt", "-x", "--output", "/nowhere/x", mentioning: "/nowhere/x"),
        Case("inspect", "/nowhere", mentioning: "/nowhere"),
        Case("inspect", Program.pictures.path, mentioning: "no weights"),
        Case("chat", "--image", "/nowhere.png", mentioning: "/nowhere.png"),
    ]

    @Test("Input that cannot be used", arguments: failures)
    func failure(_ example: Case) throws {
        expectFailure(try Program.run(Program.process(example.arguments)), mentioning: example.pieces)
    }

    @Test("Arguments that are not UTF-8") func invalidUTF8() throws {
        for options in [
            #"ask "$(printf 'a\377')""#, #"ask --image "$(printf '\300\200')" x"#, #""$(printf '\355\240\200')""#,
        ] {
            let process = try Program.process([])
            let program = try #require(Program.url).path
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", "'\(program)' \(options)"]
            expectFailure(try Program.run(process), status: 64, mentioning: ["argument", "UTF-8"])
        }
    }

    @Test("Truncated pictures") func truncatedPictures() throws {
        let whole = try Data(contentsOf: Program.pictures.appendingPathComponent("red-circle.png"))
        try Program.withTemporaryDirectory { directory in
            let file = directory.appendingPathComponent("cut.png")
            for length in [0, 1, 8, 20, 33, 50, whole.count / 2, whole.count - 20] {
                try whole.prefix(length).write(to: file)
                expectFailure(try Program.run("ask", "--image", file.path, "x"), mentioning: ["cut.png"])
            }
        }
    }
}
