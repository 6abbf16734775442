import Owl2Core
import Owl2Tensor

extension GenerationScheduler {
    /// Rows of prompts that a pass takes at least, however many answers grow in it.
    private static let leastPromptRows = 64

    /// Encodes a few of the pictures that are missing, each once, in one pass of the visual encoder.
    ///
    /// - Throws: `CancellationError`. A picture that cannot be read ends its own request.
    func encodePictures(_ sequences: inout [BatchSequence]) throws {
        var places: [(sequence: BatchSequence, index: Int)] = [], pixels: [[Float]] = []
        var keys: Set<ImageCache.Key> = []
        for sequence in sequences {
            do {
                for index in sequence.missingPictures() where pixels.count < Owl2Pipeline.imagesPerPass {
                    let picture = sequence.picture(index)
                    // the same picture is found in the cache afterwards
                    if let key = picture.key, !keys.insert(key).inserted { continue }
                    pixels.append(try pipeline.pixelValues(picture))
                    places.append((sequence, index))
                }
            } catch let error as Owl2Error {
                end(sequence, .failure(error))
            }
        }
        sequences.removeAll(where: \.hasEnded)
        guard !pixels.isEmpty else { return }
        let requests = places.map { $0.sequence.picture($0.index) }
        for (place, rows) in zip(places, try pipeline.encodePass(requests, pixels: pixels)) {
            place.sequence.setEmbedding(rows, of: place.index)
        }
    }

    /// Runs one pass of the decoder for all sequences that have rows to run, and ends those whose answer is whole.
    ///
    /// - Throws: `CancellationError`.
    func runPasses(_ sequences: inout [BatchSequence]) throws {
        try runPass(sequences.filter { !$0.runsAlone })
        for sequence in sequences where sequence.runsAlone && !sequence.hasEnded { try runPass([sequence]) }
        sequences.removeAll(where: \.hasEnded)
    }

    private func runPass(_ sequences: [BatchSequence]) throws {
        let growingCount = sequences.count { !$0.isPrefilling }
        var room = max(Self.leastPromptRows, Owl2Model.rowsPerPass - growingCount)
        var running: [(sequence: BatchSequence, part: SequencePart)] = []
        for sequence in sequences {
            guard let part = sequence.nextPart(promptRowCount: room, isAlone: sequences.count == 1) else { continue }
            if sequence.isPrefilling { room = max(0, room - part.rows.modalities.count) }
            running.append((sequence, part))
        }
        guard !running.isEmpty else { return }
        let logits = try runPass(running)
        var firstRow = 0
        for (sequence, part) in running {
            do {
                try sequence.take(logits, firstRow: firstRow, part)
                if sequence.isFinished, let info = sequence.info() { end(sequence, .success(info)) }
            } catch {
                end(sequence, .failure(error))
            }
            firstRow += part.logitCount
        }
    }

    private func runPass(_ running: [(sequence: BatchSequence, part: SequencePart)]) throws -> Matrix {
        let parts = running.map(\.part), model = pipeline.model
        guard running.count == 1, let answer = running[0].sequence.answer else { return try model.forward(parts) }
        return try answer.measured(parts[0].logitCount) { try model.forward(parts) }
    }
}
