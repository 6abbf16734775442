import Foundation
import Owl2Bundled
import Testing

@testable import Owl2Kit

/// Models for tests: the bundled one, as it is and with changed files.
enum TestModels {
    /// The bundled model, loaded once.
    static let bundled = Task { try await Owl2Pipeline.bundled(options: LoadOptions(threadCount: 2)) }

    /// The bundled model's files, some replaced or, where nil, left out.
    static func files(replacing changes: [String: Data?]) throws -> ModelFiles {
        var regions: [String: ByteRegion] = [:]
        for name in BundledModel.files.names { regions[name] = try BundledModel.files.file(name) }
        for (name, content) in changes {
            regions[name] = content.map { ByteRegion(name: name, copying: $0) }
        }
        return ModelFiles(name: "changed model", embedded: regions)
    }

    /// The bundled model's files with keys of `config.json` changed; "a.b" reaches into objects, nil removes.
    static func files(setting settings: [String: Any?]) throws -> ModelFiles {
        let original = try BundledModel.files.file("config.json")
        var object = try #require(
            JSONSerialization.jsonObject(with: Data(original.bytes)) as? [String: Any])
        for (path, value) in settings { object = set(object, path.split(separator: ".")[...], value) }
        return try files(replacing: ["config.json": JSONSerialization.data(withJSONObject: object)])
    }

    private static func set(_ object: [String: Any], _ path: ArraySlice<Substring>, _ value: Any?) -> [String: Any] {
        var object = object
        guard let key = path.first.map(String.init) else { return object }
        if path.count == 1 {
            object[key] = value
        } else {
            object[key] = set(object[key] as? [String: Any] ?? [:], path.dropFirst(), value)
        }
        return object
    }

    /// The bundled model's weights with one element of a tensor replaced by a half's bits.
    static func weights(replacing key: String, element: Int, withHalf bits: UInt16) throws -> ModelFiles {
        let name = "pytorch_model.bin"
        let region = try BundledModel.files.file(name)
        let tensor = try #require(Checkpoint(BundledModel.files).tensors[key])
        let contents = tensor.contents()
        let start = try withExtendedLifetime((contents, region)) {
            try #require(contents.bytes.baseAddress) - #require(region.bytes.baseAddress) + 2 * element
        }
        var data = Data(region.bytes)
        data[start] = UInt8(truncatingIfNeeded: bits)
        data[start + 1] = UInt8(truncatingIfNeeded: bits >> 8)
        return try files(replacing: [name: data])
    }

    /// A picture of one coloured shape on a white ground, as the bundled model knows them.
    static func picture(_ shape: Shape, _ color: (UInt8, UInt8, UInt8), side: Int = 112) -> Image {
        var pixels = [UInt8](repeating: 250, count: side * side * 3)
        let center = Double(side) / 2, radius = Double(side) * 0.24
        for y in 0..<side {
            for x in 0..<side {
                let dx = Double(x) + 0.5 - center, dy = Double(y) + 0.5 - center
                guard shape.contains(dx / radius, dy / radius) else { continue }
                let at = (y * side + x) * 3
                (pixels[at], pixels[at + 1], pixels[at + 2]) = color
            }
        }
        return .rgb8(pixels, width: side, height: side)
    }

    enum Shape {
        case circle, square

        func contains(_ x: Double, _ y: Double) -> Bool {
            switch self {
            case .circle: x * x + y * y <= 0.78
            case .square: max(abs(x), abs(y)) <= 0.71
            }
        }
    }

    static let red: (UInt8, UInt8, UInt8) = (215, 35, 35)
    static let blue: (UInt8, UInt8, UInt8) = (40, 80, 215)
    static let redCircle = picture(.circle, red)
    static let blueSquare = picture(.square, blue)
}

/// Compares element by element: `|a - b| <= tolerance * max |b|`; NaN fails.
func expectClose(
    _ found: [Float], _ expected: [Float], ofLargest tolerance: Float, _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(found.count == expected.count, "\(what)", sourceLocation: sourceLocation)
    let allowed = tolerance * (expected.map(abs).max() ?? 0)
    let wrong = zip(found, expected).enumerated().filter { !(abs($1.0 - $1.1) <= allowed) }
    if let first = wrong.first {
        Issue.record(
            "\(what): \(wrong.count) of \(expected.count) differ, first \(first.offset): \(first.element)",
            sourceLocation: sourceLocation)
    }
}

/// Expects an `Owl2Error` of a code whose message holds all the given pieces.
func expectError<Value>(
    _ code: Owl2Error.Code, mentioning pieces: String..., sourceLocation: SourceLocation = #_sourceLocation,
    _ work: () async throws -> Value
) async {
    do {
        _ = try await work()
        Issue.record("nothing was thrown, expected \(code.rawValue)", sourceLocation: sourceLocation)
    } catch let error as Owl2Error {
        #expect(error.code == code, "\(error.message)", sourceLocation: sourceLocation)
        for piece in pieces {
            #expect(error.message.contains(piece), "\(error.message)", sourceLocation: sourceLocation)
        }
    } catch {
        Issue.record("\(error) was thrown, expected \(code.rawValue)", sourceLocation: sourceLocation)
    }
}
