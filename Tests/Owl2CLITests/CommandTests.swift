import Foundation
import Owl2Kit
import Testing

@Suite("owl2's other commands", .enabled(if: Program.isBuilt, Program.absence)) struct CommandTests {
    @Test("Help and version") func help() throws {
        #expect(succeeded(try Program.run("--version")) == "\(Owl2Version.current)\n")
        let help = succeeded(try Program.run())
        for command in ["ask", "chat", "classify", "tokenize", "preprocess", "trace", "inspect"] {
            #expect(help.contains("  \(command) "), "\(command)")
            #expect(succeeded(try Program.run(command, "--help")).contains("USAGE: owl2 \(command)"))
        }
    }

    @Test("Classify") func classify() throws {
        let options = ["--option", "Blue", "--option", "Red", "--option", "-x", "What color is the circle?"]
        let arguments = ["classify", "--image", Program.picture("red-circle.png")] + options
        let lines = succeeded(try Program.run(Program.process(arguments))).split(separator: "\n")
        let fields = lines.map { $0.split(separator: "\t") }
        try #require(fields.count == 3 && fields.allSatisfy { $0.count == 2 }, "\(lines)")
        #expect(fields.map { $0[1] } == ["Blue", "Red", "-x"])
        let probabilities = try fields.map { try #require(Double($0[0])) }
        #expect(abs(probabilities.reduce(0, +) - 1) < 1e-5)
        #expect(probabilities[1] > 0.99)

        let object = try Program.run(Program.process(arguments + ["--format", "json"])).object()
        let entries = try #require(object["options"] as? [[String: Any]])
        #expect(object.count == 1 && entries.map { $0["text"] as? String } == ["Blue", "Red", "-x"])
        #expect(entries[1]["tokens"] as? [Int] == [572])
        let scores = try entries.map { try #require($0["logprob"] as? Double) }
        let weights = scores.map { exp($0 - scores[1]) }
        for (entry, weight) in zip(entries, weights) {
            let probability = try #require(entry["probability"] as? Double)
            #expect(abs(probability - weight / weights.reduce(0, +)) < 1e-9)
        }
    }

    @Test("Tokenize: one prompt, lines, and back; a folder with tokenizer.model alone is enough") func tokenize() throws
    {
        let prompts = ["USER: <|image|>What?</s> x", "", "-200", "--decode", "naïve\n\"日本\" 😀"]
        let ids = try prompts.map { succeeded(try Program.run("tokenize", "--", $0)) }
        #expect(ids[0].hasPrefix("1 ") && ids[0].contains(" -200 ") && ids[0].contains(" 2 "))
        #expect(ids[1] == "1\n")
        for (prompt, line) in zip(prompts, ids) {
            let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
            let text = prompt.replacing("</s>", with: "")
            #expect(
                succeeded(try Program.run("tokenize", "--decode", line)).dropLast().replacing("  ", with: " ") == text)
            #expect(
                try Program.run(Program.process(["tokenize", "--decode"] + words)).output
                    == Program.run("tokenize", "--decode=\(line)").output)
        }
        try Program.withTemporaryDirectory { directory in
            let list = directory.appendingPathComponent("list.jsonl")
            let encoder = JSONEncoder()
            try Data(prompts.map { try encoder.encode($0) + Data("\n".utf8) }.joined()).write(to: list)
            #expect(succeeded(try Program.run("tokenize", "--lines", list.path)) == ids.joined())
            #expect(
                succeeded(try Program.run("tokenize", "--lines", "-", input: Data(contentsOf: list))) == ids.joined())
            let model = Program.parity.appendingPathComponent("text-only/tokenizer.model")
            try FileManager.default.copyItem(at: model, to: directory.appendingPathComponent("tokenizer.model"))
            #expect(succeeded(try Program.run("tokenize", "--model", directory.path, "hello")).hasPrefix("1 "))
        }
    }

    @Test("Inspect") func inspect() throws {
        let text = succeeded(try Program.run("inspect"))
        for piece in ["1,845,248", "F16", "visual abstractor", "unexpected: none", "NaN or infinite: none"] {
            #expect(text.contains(piece), "\(piece)")
        }
        let folder = Program.parity.appendingPathComponent("single-bin-bfloat16").path
        let object = try Program.run("inspect", "--format", "json", folder).object()
        let parts = try #require(object["parts"] as? [[String: Any]])
        let bytes = parts.reduce(0) { $0 + ($1["bytes"] as? Int ?? 0) }
        #expect(object["bytes"] as? Int == bytes && bytes > 0)
        #expect((parts.first?["tensors"] as? [String: Int])?["BF16"] != nil)
        #expect((object["missing"] as? [String])?.isEmpty == true)
    }

    @Test("Inspect reports what is missing and what is NaN") func inspectProblems() throws {
        let original = Program.parity.appendingPathComponent("single-safetensors-grouped")
        try Program.withTemporaryDirectory { directory in
            let folder = directory.appendingPathComponent("model")
            try FileManager.default.copyItem(at: original, to: folder)
            let file = folder.appendingPathComponent("model.safetensors")
            var bytes = try Data(contentsOf: file)
            let key = try #require(bytes.range(of: Data("model.norm.weight".utf8)))
            bytes.replaceSubrange(key, with: Data("model.morn.weight".utf8))
            bytes.replaceSubrange(bytes.count - 4..<bytes.count, with: [0xFF, 0x7F, 0xFF, 0x7F])
            try bytes.write(to: file)
            let object = try Program.run("inspect", "--format", "json", folder.path).object()
            #expect((object["missing"] as? [String])?.count == 1)
            #expect("\(object["missing"] ?? "")".contains("model.norm.weight"))
            #expect("\(object["unexpected"] ?? "")".contains("model.morn.weight"))
            #expect((object["non_finite"] as? [String: Int])?.count == 1)
            expectFailure(
                try Program.run("ask", "--model", folder.path, "x"), mentioning: ["model.norm.weight", folder.path])
        }
    }
}
