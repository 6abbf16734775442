import Testing

@testable import Owl2Image

@Suite struct ImageFitTests {
    @Test func namesOfFits() {
        #expect(ImageFit(rawValue: "stretch") == .stretch)
        #expect(ImageFit(rawValue: "squash") == nil)
    }
}
