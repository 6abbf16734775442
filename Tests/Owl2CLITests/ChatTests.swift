import Foundation
import Testing

@Suite("owl2 chat", .enabled(if: Program.isBuilt, Program.absence)) struct ChatTests {
    @Test("Turns through a pipe, an answer a line") func turns() throws {
        let lines = """
            What color is the square?
              What is the background color?\u{20}

            /clear
            /image \(Program.picture("purple-star.png"))
            What shape is purple?
            /quit
            What is two plus two?
            """
        let result = try Program.run(
            "chat", "--image", Program.picture("square-and-star.png"), input: Data(lines.utf8))
        #expect(succeeded(result) == "Yellow\nBlack\nStar\n")
    }

    @Test("A picture stays for one question, and the end of the input is the end") func endOfInput() throws {
        let picture = Program.picture("three-shapes.png")
        let result = try Program.run(
            "chat", input: Data("/image \(picture)\nDescribe the image.\nWhat color is the circle?".utf8))
        let description = "An orange star, a blue circle and a green star on a white background."
        #expect(succeeded(result) == "\(description)\nBlue\n")
        #expect(succeeded(try Program.run("chat")) == "")
    }

    @Test("A wrong line is an error, and the conversation goes on") func errors() throws {
        let lines = [
            "/image", "/image /nowhere.png", "/fly", "/quit now", String(repeating: "word ", count: 2000),
            "What is the opposite of wet?",
        ]
        var input = Data(lines.joined(separator: "\n").utf8)
        input.append(contentsOf: [0x0A, 0xFF, 0x0A])
        input.append(contentsOf: "What is seven plus five?".utf8)
        let result = try Program.run("chat", input: input)
        #expect(result.status == 1)
        #expect(result.output == "Dry\nTwelve\n")
        let errors = result.errors.split(separator: "\n")
        #expect(errors.count == 6 && errors.allSatisfy { $0.hasPrefix("error: ") }, "\(result.errors)")
        for (error, piece) in zip(errors, ["/image", "/nowhere.png", "/fly", "/quit now", "rows", "UTF-8"]) {
            #expect(error.contains(piece), "\(error)")
        }
    }

    @Test("An interrupt stops the answer, not the program") func interrupt() throws {
        let process = try Program.process(["chat", "--min-tokens", "400", "--max-tokens", "400"])
        let input = Pipe(), output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let question = Data("What is two plus two?\n".utf8)
        try input.fileHandleForWriting.write(contentsOf: question)
        // the answer has begun, and has hundreds of tokens to go
        let beginning = output.fileHandleForReading.availableData
        #expect(!beginning.isEmpty)
        process.interrupt()
        try input.fileHandleForWriting.write(contentsOf: Data("/clear\n".utf8) + question)
        try input.fileHandleForWriting.close()
        let rest = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
        let answers = String(decoding: beginning + rest, as: UTF8.self).split(separator: "\n")
        try #require(answers.count == 2, "\(answers)")
        #expect(answers[0].count < answers[1].count && answers[1].hasPrefix(answers[0]))
    }
}
