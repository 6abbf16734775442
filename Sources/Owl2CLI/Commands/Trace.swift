import ArgumentParser
import Owl2Checkpoint
import Owl2Kit

/// `owl2 trace`: what is seen on the way of a prompt through the model.
struct Trace: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write the tensors that a prompt becomes on its way through the model.",
        discussion: """
            For comparing with another implementation: input_ids (-200 for a picture), pixel_values, vision, image_embeds, \
            hidden.0 to hidden.L (the input of each layer, then the normed output) and logits, seen where 'owl2 ask --raw' \
            passes.
            """)

    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Model") var compute: ComputeOptions
    @OptionGroup(title: "Pictures") var pictures: PictureOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("The whole prompt, with <|image|> markers and control tokens.", valueName: "raw"))
    var prompt: String

    @Option(parsing: .unconditional, help: ArgumentHelp("The safetensors file to write.", valueName: "file"))
    var output: FilePath

    func run() async throws {
        let owl = try await compute.load(model.files(), ProgressLine())
        var writer = SafetensorsWriter()
        for tensor in try await owl.trace(pictures.input(prompt, isRaw: true)) {
            switch tensor.values {
            case .float32(let values): writer.add(tensor.name, shape: tensor.shape, float32: values)
            case .int64(let values): writer.add(tensor.name, shape: tensor.shape, int64: values)
            }
        }
        try writer.write(to: output.url)
    }
}
