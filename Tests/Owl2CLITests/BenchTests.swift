import Foundation
import Testing

@Suite("owl2 bench and perplexity", .enabled(if: Program.isBuilt, Program.absence)) struct BenchTests {
    @Test("One object with the machine, its limits and all results")
    func json() throws {
        let result = try Program.run(
            "bench", "--synthetic", "small", "--type", "q8_0", "--threads", "2", "--prompt-tokens", "4,8",
            "--new-tokens",
            "2", "--batch", "1,2", "--format", "json")
        _ = succeeded(result)
        let object = try result.object()
        #expect(Set(object.keys) == ["machine", "limits", "results", "peak_resident_bytes"])
        let machine = try #require(object["machine"] as? [String: Any])
        #expect(Set(machine.keys) == ["cpu", "isa", "threads"] && machine["threads"] as? Int == 2)
        let limits = try #require(object["limits"] as? [String: Double])
        #expect(Set(limits.keys) == ["read_gb_per_s", "int8_gop_per_s", "float32_gflop_per_s"])
        #expect(limits.values.allSatisfy { $0 > 0 })
        let results = try #require(object["results"] as? [[String: Any]])
        #expect(results.map { $0["work"] as? String } == ["load", "image", "prefill", "prefill", "decode", "decode"])
        for result in results {
            #expect(
                Set(result.keys) == [
                    "work", "type", "backend", "size", "median", "low", "high", "unit", "bound", "share",
                ])
            #expect(result["type"] as? String == "q8_0" && result["backend"] as? String == "own")
            #expect(["read", "int8", "float32"].contains(result["bound"] as? String))
        }
        #expect(try #require(object["peak_resident_bytes"] as? Int) > 1_000_000)
    }

    @Test("Tables for people and for documents", arguments: ["text", "markdown"])
    func tables(_ format: String) throws {
        let output = succeeded(
            try Program.run(
                "bench", "--work", "decode,load", "--prompt-tokens", "4", "--new-tokens", "1", "--format", format))
        #expect(
            output.contains("limits: read") && output.contains("% of read") && output.contains("peak resident memory"))
        let lines = output.split(separator: "\n").map { $0.split { $0 == " " || $0 == "|" }.first }
        #expect(lines.contains("load") && lines.contains("decode") && !lines.contains("image"))
    }

    @Test("A text's and an answer's likelihood")
    func perplexity() throws {
        try Program.withTemporaryDirectory { directory in
            let text = directory.appendingPathComponent("text.txt"),
                pairs = directory.appendingPathComponent("pairs.jsonl")
            try Data("The circle is red.".utf8).write(to: text)
            try FileManager.default.copyItem(
                atPath: Program.picture("red-circle.png"), toPath: directory.appendingPathComponent("a.png").path)
            let line = #"{"images": ["a.png"], "prompt": "What color is the circle?", "answer": "red"}"#
            try Data((line + "\n").utf8).write(to: pairs)
            let found = try Program.run("perplexity", "--text", text.path, "--format", "json")
            _ = succeeded(found)
            let object = try found.object()
            #expect(Set(object.keys) == ["tokens", "mean_log_likelihood", "standard_error", "perplexity"])
            let output = succeeded(try Program.run("perplexity", "--pairs", pairs.path))
            #expect(output.hasPrefix("tokens: ") && output.contains("perplexity: "))
        }
    }
}
