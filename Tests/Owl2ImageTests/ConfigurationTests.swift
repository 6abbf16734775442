import Foundation
import Owl2Core
import Owl2TestSupport
import Testing

@testable import Owl2Image

/// `preprocessor_config.json`.
struct ConfigurationTests {
    private func configuration(_ json: String) throws -> PreprocessorConfiguration {
        let region = ByteRegion(name: "preprocessor_config.json", copying: Array(json.utf8))
        let configuration = try withExtendedLifetime(region) { try region.decodeJSON(PreprocessorConfiguration.self) }
        try configuration.validate()
        return configuration
    }

    @Test(arguments: [
        #"{"size": 448, "crop_size": 448}"#,
        #"{"size": {"shortest_edge": 448}, "crop_size": {"height": 448, "width": 448}}"#,
        #"{"size": {"height": 448, "width": 448}, "crop_size": 448, "do_resize": true, "image_processor_type": "X"}"#,
    ])
    func sizesInAllForms(json: String) throws {
        let configuration = try configuration(json)
        #expect(configuration.size == 448 && configuration.cropSize == 448)
        #expect(try ImagePreprocessor(configuration: configuration, imageSize: 448).imageSize == 448)
    }

    @Test func absentFieldsHaveThePublishedValues() throws {
        #expect(try configuration("{}") == PreprocessorConfiguration())
        #expect(try configuration(#"{"size": null, "image_mean": null}"#) == PreprocessorConfiguration())
        let published = PreprocessorConfiguration()
        #expect(published.size == nil && published.cropSize == nil && published.resample == 3)
        #expect(published.imageMean == [0.48145466, 0.4578275, 0.40821073])
        #expect(published.imageStandardDeviation == [0.26862954, 0.26130258, 0.27577711])
        #expect(try ImagePreprocessor(configuration: published, imageSize: 56).imageSize == 56)
    }

    @Test func meanAndDeviationAreRead() throws {
        let read = try configuration(#"{"image_mean": [0, 0.5, 1], "image_std": [1, 2, 0.5], "do_normalize": true}"#)
        #expect(read.imageMean == [0, 0.5, 1] && read.imageStandardDeviation == [1, 2, 0.5])
    }

    @Test(arguments: [
        (#"{"size": -1}"#, "'size' is -1, expected a side of 1 to 4096 pixels"),
        (#"{"crop_size": 0}"#, "'crop_size' is 0"),
        (#"{"size": 5000000000}"#, "'size' is 5000000000"),
        (#"{"size": 1e30}"#, "'size'"),
        (#"{"size": 448.5}"#, "'size'"),
        (#"{"size": "448"}"#, "'size'"),
        (#"{"size": []}"#, "'size'"),
        (#"{"size": {}}"#, "'size.height' is missing"),
        (#"{"size": {"height": 448}}"#, "'size.width' is missing"),
        (#"{"size": {"height": 448, "width": 336}}"#, "expected a square, found 336 x 448"),
        (#"{"size": {"shortest_edge": "x"}}"#, "'size.shortest_edge'"),
        (#"{"size": {"shortest_edge": 1e30}}"#, "'size.shortest_edge'"),
        (#"{"size": 448, "crop_size": 336}"#, "'crop_size' is 336, but 'size' is 448"),
        (#"{"image_mean": [0.5, 0.5]}"#, "'image_mean' is [0.5, 0.5], expected three numbers"),
        (#"{"image_mean": [0.5, 0.5, 2]}"#, "expected three numbers from 0 to 1"),
        (#"{"image_mean": [0.5, -0.5, 0]}"#, "expected three numbers from 0 to 1"),
        (#"{"image_mean": 0.5}"#, "'image_mean'"),
        (#"{"image_std": [1, 0, 1]}"#, "'image_std' is [1.0, 0.0, 1.0], expected three numbers greater than 0"),
        (#"{"image_std": [1, -1, 1]}"#, "'image_std'"),
        (#"{"image_std": [1, 1e300, 1]}"#, "'image_std'"),
        (#"{"image_std": [1, 1e-300, 1]}"#, "'image_std'"),
        (#"{"do_normalize": false}"#, "'do_normalize' is false"),
        (#"{"do_normalize": 3}"#, "'do_normalize'"),
        (#"{"resample": 1e40}"#, "'resample'"),
    ])
    func nonsenseIsNamed(json: String, message: String) {
        expectError(.invalidConfiguration, "preprocessor_config.json: ", message) { try configuration(json) }
    }

    @Test func otherFiltersAreNamed() {
        expectError(.unsupportedFormat, "'resample' is 2 (bilinear), only 3 (bicubic)") {
            try configuration(#"{"resample": 2}"#)
        }
        expectError(.unsupportedFormat, "'resample' is -7, only 3") { try configuration(#"{"resample": -7}"#) }
    }

    @Test(arguments: ["", "[]", "{", "448", #"{"size": 448"#])
    func whatIsNoObjectIsNamed(json: String) {
        #expect(throws: Owl2Error.self) { try configuration(json) }
    }

    @Test func theModelsSizeMustAgree() throws {
        let read = try configuration(#"{"size": 224}"#)
        expectError(.invalidConfiguration, "'size' is 224, but the model's image_size is 448") {
            try ImagePreprocessor(configuration: read, imageSize: 448)
        }
        let cropping = try configuration(#"{"crop_size": {"height": 336, "width": 336}}"#)
        expectError(.invalidConfiguration, "'crop_size' is 336, but the model's image_size is 448") {
            try ImagePreprocessor(configuration: cropping, imageSize: 448)
        }
        for size in [0, -1, 4097, Int.max] {
            expectError(.invalidConfiguration, "image_size is \(size), expected 1 to 4096") {
                try ImagePreprocessor(imageSize: size)
            }
        }
    }
}
