import Foundation
import Testing

@Suite("owl2 ask", .enabled(if: Program.isBuilt, Program.absence)) struct AskTests {
    /// A question of the example pictures with the reference's answer.
    struct Question: Decodable, CustomTestStringConvertible {
        let images: [String]
        let question: String
        let answer: String

        var testDescription: String { "\(images) \(question.prefix(40))" }

        static let all: [Question] = {
            struct Entry: Decodable {
                let question: Question?
                init(from decoder: any Decoder) throws { question = try? Question(from: decoder) }
            }
            let file = try? Data(contentsOf: Program.pictures.appendingPathComponent("questions.json"))
            let entries = file.flatMap { try? JSONDecoder().decode([Entry].self, from: $0) } ?? []
            return entries.compactMap(\.question)
        }()
    }

    @Test("The questions are there") func questions() {
        #expect(Question.all.count >= 15)
    }

    @Test(
        "The example pictures' questions",
        arguments: Question.all.filter { !$0.images.contains { $0.hasSuffix("jpg") } })
    func examplePictures(question: Question) throws {
        let flags = question.images.flatMap { ["--image", Program.picture($0)] }
        let result = try Program.run(Program.process(["ask"] + flags + [question.question]))
        #expect(succeeded(result) == question.answer + "\n")
    }

    @Test("One object with --format json") func json() throws {
        let result = try Program.run(
            "ask", "--image", Program.picture("red-circle.png"), "--format", "json", "--logprobs", "3",
            "What color is the circle?")
        #expect(result.errors == "")
        let object = try result.object()
        #expect(
            Set(object.keys) == [
                "text", "tokens", "prompt_tokens", "image_tokens", "stop_reason", "seed", "timings", "logprobs",
            ])
        #expect(object["text"] as? String == "Red")
        #expect(object["tokens"] as? [Int] == [572])
        #expect(object["prompt_tokens"] as? Int == 29)
        #expect(object["image_tokens"] as? Int == 17)
        #expect(object["stop_reason"] as? String == "end")
        #expect(object["seed"] is NSNull)
        let timings = try #require(object["timings"] as? [String: Double])
        #expect(Set(timings.keys) == ["load", "image", "prefill", "decode"])
        #expect(timings.values.allSatisfy { $0 >= 0 && $0 < 100 })
        let logprobs = try #require(object["logprobs"] as? [[String: Any]])
        let top = try #require(logprobs.first?["top"] as? [[String: Any]])
        #expect(logprobs.count == 1 && top.count == 3)
        #expect(top.first?["token"] as? Int == 572)
        #expect(top.first?["piece"] as? String == "▁Red")
        #expect(try #require(top.first?["logprob"] as? Double) <= 0)
    }

    @Test("Stop reasons, and what --seed, --stop and --max-tokens do") func parameters() throws {
        let question = ["--image", Program.picture("red-circle.png"), "--format", "json", "Describe the image."]
        func ask(_ options: String...) throws -> [String: Any] {
            try Program.run(Program.process(["ask"] + options + question)).object()
        }
        let cut = try ask("--max-tokens", "2")
        #expect(cut["stop_reason"] as? String == "length")
        #expect((cut["tokens"] as? [Int])?.count == 2)
        let stopped = try ask("--stop", "---", "--stop", " circle", "--stop", "--")
        #expect(stopped["stop_reason"] as? String == "stop")
        #expect(stopped["text"] as? String == "A large red")
        let full = try ask("--min-tokens", "490")
        #expect(full["stop_reason"] as? String == "context")
        let seeded = try ask("--seed", "18446744073709551615")
        #expect(seeded["seed"] as? UInt64 == .max)
        #expect(seeded["text"] as? String == "A large red circle on a white background.")
        let drawn = try ask("--temperature", "5", "--top-k", "50", "--seed", "7", "--max-tokens", "20")
        #expect(drawn["text"] as? String != seeded["text"] as? String)
        let again = try ask("--temperature", "5", "--top-k", "50", "--seed", "7", "--max-tokens", "20")
        #expect(drawn["tokens"] as? [Int] == again["tokens"] as? [Int])
        #expect(try ask("--top-k", "50")["seed"] as? UInt64 != nil)
        let biased = try ask("--logit-bias", "572=-100", "--logit-bias", "2=-1e3", "--max-tokens", "30")
        #expect((biased["tokens"] as? [Int])?.count == 30)
    }

    @Test("A raw prompt with the template is the question itself, and a question is plain text") func raw() throws {
        func tokens(_ arguments: String...) throws -> Int? {
            let picture = [
                "ask", "--format", "json", "--max-tokens", "1", "--image", Program.picture("red-circle.png"),
            ]
            return try Program.run(Program.process(picture + arguments)).object()["prompt_tokens"] as? Int
        }
        let plain = try #require(try tokens("What color is the circle?"))
        #expect(try tokens("--raw", "USER: <|image|>What color is the circle? ASSISTANT:") == plain)
        #expect(try #require(try tokens("What color is </s><|image|>the circle?")) > plain + 10)
    }

    @Test("Fits and threads") func fits() throws {
        for options in [["--fit", "stretch"], ["--fit", "pad"], ["--fit", "crop"], ["--exif"], ["--threads", "3"]] {
            let result = try Program.run(
                Program.process(
                    ["ask", "--image", Program.picture("red-circle.png"), "What color is the circle?"] + options))
            #expect(succeeded(result) == "Red\n")
        }
    }

    @Test("A question behind '--' may begin with a dash") func dashes() throws {
        let result = try Program.run("ask", "--stop=-", "--stop", "-x", "--stop", "--", "--", "--what-is-it")
        #expect(result.status == 0, "\(result.errors)")
        #expect(!result.output.isEmpty)
    }

    @Test("OpenBLAS answers the same, and a wrong choice of kernels is mentioned") func openBLAS() throws {
        let arguments = [
            "ask", "--backend", "openblas", "--threads", "2", "--image", Program.picture("red-circle.png"),
        ]
        let result = try Program.run(Program.process(arguments + ["What color is the circle?"]))
        #expect(succeeded(result) == "Red\n")
    }

    @Test("A full disk is an error", .enabled(if: FileManager.default.fileExists(atPath: "/dev/full"), "no /dev/full"))
    func fullDisk() throws {
        let process = try Program.process([])
        let program = try #require(Program.url).path
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "'\(program)' ask 'What is two plus two?' > /dev/full"]
        expectFailure(try Program.run(process), mentioning: ["standard output"])
    }
}
