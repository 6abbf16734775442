import Owl2Core
import Testing

@testable import Owl2Kit

@Suite struct GenerateParametersTests {
    struct Invalid: Sendable, CustomTestStringConvertible {
        let parameters: GenerateParameters
        let subject: String
        let words: String
        var testDescription: String { words }

        init(_ parameters: GenerateParameters, _ subject: String, _ words: String) {
            self.parameters = parameters
            self.subject = subject
            self.words = words
        }

        init(_ sampling: GenerateParameters.Sampling, _ subject: String, _ words: String) {
            self.init(GenerateParameters(sampling: sampling), subject, words)
        }
    }

    static let invalid: [Invalid] = [
        Invalid(
            GenerateParameters(maxNewTokens: 0), "maxNewTokens", "maximum of new tokens: expected at least 1, found 0"),
        Invalid(
            GenerateParameters(minNewTokens: -1), "minNewTokens", "minimum of new tokens: expected at least 0, found -1"
        ),
        Invalid(
            GenerateParameters(maxNewTokens: 3, minNewTokens: 4), "minNewTokens",
            "minimum of new tokens: expected at most the maximum of 3, found 4"),
        Invalid(
            .random(temperature: .nan), "temperature", "temperature: expected a finite number of at least 0, found nan"),
        Invalid(
            .random(temperature: .infinity), "temperature",
            "temperature: expected a finite number of at least 0, found inf"),
        Invalid(
            .random(temperature: -0.5), "temperature", "temperature: expected a finite number of at least 0, found -0.5"
        ),
        Invalid(.random(topP: 0), "topP", "top-p: expected a number above 0 and at most 1, found 0.0"),
        Invalid(.random(topP: 1.5), "topP", "top-p: expected a number above 0 and at most 1, found 1.5"),
        Invalid(.random(topP: .nan), "topP", "top-p: expected a number above 0 and at most 1, found nan"),
        Invalid(.random(topK: -1), "topK", "top-k: expected at least 0 (which keeps all), found -1"),
        Invalid(.random(minP: -0.1), "minP", "min-p: expected a number from 0 to 1, found -0.1"),
        Invalid(.random(minP: 1.1), "minP", "min-p: expected a number from 0 to 1, found 1.1"),
        Invalid(.random(minP: .nan), "minP", "min-p: expected a number from 0 to 1, found nan"),
        // Nonsense is refused where it has no effect, too.
        Invalid(.random(temperature: 0, topP: 2), "topP", "top-p: expected a number above 0 and at most 1, found 2.0"),
        Invalid(
            GenerateParameters(repetitionPenalty: 0), "repetitionPenalty",
            "repetition penalty: expected a finite number above 0, found 0.0"),
        Invalid(
            GenerateParameters(repetitionPenalty: .nan), "repetitionPenalty",
            "repetition penalty: expected a finite number above 0, found nan"),
        Invalid(
            GenerateParameters(repetitionPenalty: .infinity), "repetitionPenalty",
            "repetition penalty: expected a finite number above 0, found inf"),
        Invalid(
            GenerateParameters(presencePenalty: .nan), "presencePenalty",
            "presence penalty: expected a finite number, found nan"),
        Invalid(
            GenerateParameters(frequencyPenalty: -.infinity), "frequencyPenalty",
            "frequency penalty: expected a finite number, found -inf"),
        Invalid(
            GenerateParameters(logitBias: [-1: 1]), "logitBias",
            "logit bias: expected token ids of at least 0, found -1"),
        Invalid(
            GenerateParameters(logitBias: [5: .nan]), "logitBias",
            "logit bias of token 5: expected a finite number, found nan"),
        Invalid(
            GenerateParameters(stopSequences: ["a", ""]), "stopSequences",
            "stop sequences: expected texts of at least one character, found an empty one"),
        Invalid(
            GenerateParameters(topLogprobs: -1), "topLogprobs",
            "number of log-probabilities: expected at least 0, found -1"),
    ]

    @Test(arguments: invalid) func refusesNonsense(_ invalid: Invalid) {
        let error = #expect(throws: Owl2Error.self) { try invalid.parameters.validate() }
        #expect(error?.code == .invalidInput)
        #expect(error?.subject == invalid.subject)
        #expect(error?.message == invalid.words)
    }

    @Test func acceptsDefaultsAndEdges() throws {
        let defaults = GenerateParameters()
        try defaults.validate()
        #expect(defaults.maxNewTokens == 512)
        #expect(defaults.sampling == .greedy)
        #expect(defaults.topLogprobs == nil)
        try GenerateParameters(
            maxNewTokens: 1, minNewTokens: 1,
            sampling: .random(temperature: 0, topP: 1, topK: .max, minP: 1, seed: .max), repetitionPenalty: 0.5,
            presencePenalty: -2, frequencyPenalty: 2, logitBias: [9: -100], stopSequences: ["\u{0}"], topLogprobs: 10
        ).validate(vocabularySize: 10)
    }

    @Test func refusesTokensOutsideOfTheVocabulary() {
        let bias = #expect(throws: Owl2Error.self) {
            try GenerateParameters(logitBias: [3: 1, 10: 1]).validate(vocabularySize: 10)
        }
        #expect(bias?.message == "logit bias: expected token ids below the vocabulary's size of 10, found 10")
        let top = #expect(throws: Owl2Error.self) {
            try GenerateParameters(topLogprobs: 11).validate(vocabularySize: 10)
        }
        #expect(top?.message == "number of log-probabilities: expected at most the vocabulary's size of 10, found 11")
    }
}
