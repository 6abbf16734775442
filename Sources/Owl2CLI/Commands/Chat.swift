import ArgumentParser
import Owl2Kit

/// `owl2 chat`: several turns in a terminal.
struct Chat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Talk about pictures, one line a turn.",
        discussion: """
            \(Conversation.help)
            Ctrl-C stops an answer. Questions may also come through a pipe: each answer is then a line.
            """)

    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Model") var compute: ComputeOptions
    @OptionGroup(title: "Pictures") var pictures: PictureOptions
    @OptionGroup(title: "Generation") var generation: GenerationOptions

    func run() async throws {
        let files = try model.files()
        let owl = try await compute.load(files, ProgressLine())
        let fitting = pictures.fitting
        var conversation = try Conversation(
            session: ChatSession(
                owl, parameters: generation.parameters(), fit: fitting.fit.fit, honorsOrientation: fitting.exif),
            album: Album(preprocessor: try .load(from: files), fitting: fitting))
        for file in pictures.files { try conversation.show(file) }
        try await conversation.run()
    }
}
