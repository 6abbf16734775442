import Foundation
import Owl2Core
import Testing

/// JSON files that are decoded, and what their errors say.
struct JSONFileTests {
    struct Inner: Decodable, Equatable {
        let size: Int
        let name: String?
    }

    struct Outer: Decodable, Equatable {
        let inner: Inner
        let list: [Double]
    }

    func decode(_ text: String) throws -> Outer {
        try ByteRegion(name: "config.json", copying: Array(text.utf8)).decodeJSON(Outer.self)
    }

    @Test func soundFilesAreDecoded() throws {
        let value = try decode(#"{"inner": {"size": 3, "more": null}, "list": [1, 2.5]}"#)
        #expect(value == Outer(inner: Inner(size: 3, name: nil), list: [1, 2.5]))
    }

    @Test(arguments: [
        ("", "malformedFile", "config.json: not valid JSON"),
        ("{", "malformedFile", "config.json: not valid JSON"),
        (#"{"inner": {"size": 3}, "list": []"#, "malformedFile", "config.json: not valid JSON"),
        (String(repeating: "[", count: 100_000), "malformedFile", "config.json: not valid JSON"),
        (#"{"list": []}"#, "invalidConfiguration", "config.json: 'inner' is missing"),
        (#"{"inner": {}, "list": []}"#, "invalidConfiguration", "config.json: 'inner.size' is missing"),
        (
            #"{"inner": {"size": "3"}, "list": []}"#, "invalidConfiguration",
            "config.json: 'inner.size' is not of type Int"
        ),
        (
            #"{"inner": {"size": 1}, "list": [1, "2"]}"#, "invalidConfiguration",
            "config.json: 'list.[1]' is not of type Double"
        ),
        ("[]", "invalidConfiguration", "config.json: the top level is not of type"),
        (
            #"{"inner": {"size": null}, "list": []}"#, "invalidConfiguration",
            "config.json: 'inner.size' is null, expected Int"
        ),
    ])
    func errorsNameTheFileAndTheKey(text: String, code: String, message: String) {
        do {
            Issue.record("decoded \(try decode(text))")
        } catch let error as Owl2Error {
            #expect(error.code.rawValue == code, "\(error)")
            #expect(error.message.hasPrefix(message), "\(error)")
            #expect(error.subject == "config.json")
            #expect(error.underlyingError != nil)
        } catch {
            Issue.record("not an Owl2Error: \(error)")
        }
    }

    @Test(arguments: ["1.5", "1e99", "99999999999999999999", "01", "0x10", "NaN", "+1"])
    func numbersThatAreNoIntegersAreErrors(number: String) {
        let error = #expect(throws: Owl2Error.self) { try decode("{\"inner\": {\"size\": \(number)}, \"list\": []}") }
        #expect(error?.message.hasPrefix("config.json: ") == true)
    }

    @Test func invalidUTF8IsMalformed() {
        let region = ByteRegion(name: "config.json", copying: [0x7B, 0xFF, 0x7D])
        let error = #expect(throws: Owl2Error.self) { try region.decodeJSON(Outer.self) }
        #expect(error?.code == .malformedFile)
    }
}
