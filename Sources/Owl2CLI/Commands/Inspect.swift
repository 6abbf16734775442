import ArgumentParser
import Foundation
import Owl2Bundled
import Owl2Kit

/// `owl2 inspect`: what a model's files hold.
struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show a model's configuration, its parameters and bytes by part, and what is wrong with its weights.")

    @Argument(help: "The model's directory or GGUF file; the small model inside the program if absent.")
    var model: FilePath?

    @Flag(inversion: .prefixedNo, help: "Read all weights and count what is NaN or infinite.")
    var values = true

    @Option(parsing: .unconditional, help: "Write a table (text) or one object (json).")
    var format = OutputFormat.text

    func run() async throws {
        let progress = ProgressLine()
        defer { progress.clear() }
        let files = try model.map { try ModelFiles(at: $0.url) } ?? BundledModel.files
        let inspection = try await ModelInspection.inspect(
            files, checkingValues: values, progressHandler: progress.handler)
        progress.clear()
        let report = InspectionReport(name: files.name, inspection: inspection, hasCheckedValues: values)
        try StandardOutput.write(format == .text ? report.text : "\(report.json())\n")
    }
}

/// An inspection for people and for scripts.
struct InspectionReport {
    let name: String
    let inspection: ModelInspection
    let hasCheckedValues: Bool

    private var parameterCount: Int { inspection.parts.reduce(0) { $0 + $1.parameterCount } }
    private var byteCount: Int { inspection.parts.reduce(0) { $0 + $1.byteCount } }
}

extension InspectionReport {
    var text: String {
        let tables = [Self.aligned(configurationRows, rightAligned: []), Self.aligned(partRows, rightAligned: [1, 2])]
        let findings = [
            Self.list("missing or unusable", inspection.problems), Self.list("unexpected", inspection.unexpected),
            inspection.fallbacks.isEmpty ? "" : Self.list("stored in another type than asked for", fallbackLines),
            hasCheckedValues ? Self.list("NaN or infinite", nonFiniteLines) : "NaN or infinite: not looked for\n",
        ]
        return tables.joined(separator: "\n") + "\n" + findings.joined()
    }

    private var nonFiniteLines: [String] {
        inspection.nonFinite.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value) elements" }
    }

    private var fallbackLines: [String] {
        inspection.fallbacks.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
    }

    private var configurationRows: [[String]] {
        let vision = inspection.configuration.vision, abstractor = inspection.configuration.abstractor
        let decoder = inspection.configuration.decoder
        let scaling = decoder.ropeScaling.map { ", \($0.kind.rawValue) x \($0.factor)" } ?? ""
        return [
            ["model", name],
            ["weights", inspection.layout],
            [
                "visual encoder",
                "\(vision.hiddenLayerCount) layers, width \(vision.hiddenSize), \(vision.attentionHeadCount) heads, "
                    + "feed-forward \(vision.intermediateSize), \(vision.hiddenActivation.rawValue), "
                    + "\(vision.imageSize) px in patches of \(vision.patchSize)",
            ],
            [
                "visual abstractor",
                "\(abstractor.hiddenLayerCount) layers, width \(abstractor.hiddenSize), "
                    + "\(abstractor.attentionHeadCount) heads, feed-forward \(abstractor.intermediateSize), "
                    + "\(abstractor.queryCount) queries: \(abstractor.outputRowCount) rows per picture",
            ],
            [
                "decoder",
                "\(decoder.hiddenLayerCount) layers, width \(decoder.hiddenSize), \(decoder.attentionHeadCount) heads "
                    + "(\(decoder.keyValueHeadCount) of keys and values), feed-forward \(decoder.intermediateSize), "
                    + "\(decoder.hiddenActivation)",
            ],
            ["vocabulary", "\(decoder.vocabularySize) tokens, ended by \(endTokens)"],
            ["context", "\(decoder.contextLength) rows, rotary base \(decoder.ropeTheta)\(scaling)"],
        ]
    }

    private var endTokens: String {
        inspection.configuration.endTokenIDs.sorted().map(String.init).joined(separator: ", ")
    }

    private var partRows: [[String]] {
        let parts = inspection.parts.map { part in
            let types = part.elementTypes.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            let stored = types.map { "\($0.key) (\($0.value))" }.joined(separator: ", ")
            return [part.name, Self.grouped(part.parameterCount), Self.grouped(part.byteCount), stored]
        }
        return [["part", "parameters", "bytes", "stored as (tensors)"]] + parts
            + [["all", Self.grouped(parameterCount), Self.grouped(byteCount), ""]]
    }

    private static func list(_ title: String, _ entries: [String]) -> String {
        guard !entries.isEmpty else { return "\(title): none\n" }
        return "\(title): \(entries.count)\n" + entries.map { "  \($0)\n" }.joined()
    }

    /// Digits in groups of three, whatever the locale.
    private static func grouped(_ count: Int) -> String {
        let digits = Array(String(count))
        return digits.indices.map { index in
            let needsGap = index > 0 && (digits.count - index) % 3 == 0
            return (needsGap ? "," : "") + String(digits[index])
        }.joined()
    }

    private static func aligned(_ rows: [[String]], rightAligned: Set<Int>) -> String {
        let columns = rows.first?.indices ?? 0..<0
        let widths = columns.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = columns.map { column in
                let gap = String(repeating: " ", count: widths[column] - row[column].count)
                return rightAligned.contains(column) ? gap + row[column] : row[column] + gap
            }
            let line = cells.joined(separator: "  ")
            return line.prefix(line.count - line.reversed().prefix { $0 == " " }.count) + "\n"
        }.joined()
    }
}

extension InspectionReport {
    /// The same as one object; the configuration is spelled as in `config.json`.
    func json() throws -> JSONText {
        let configuration = inspection.configuration
        let parts = inspection.parts.map { part -> JSONText in
            let types = part.elementTypes.sorted { $0.key < $1.key }
            return .object([
                ("name", .string(part.name)), ("parameters", .integer(part.parameterCount)),
                ("bytes", .integer(part.byteCount)),
                ("tensors", .object(types.map { ($0.key, .integer($0.value)) })),
            ])
        }
        let fallbacks = inspection.fallbacks.sorted { $0.key < $1.key }.map { ($0.key, JSONText.string($0.value)) }
        let nonFinite = inspection.nonFinite.sorted { $0.key < $1.key }.map { ($0.key, JSONText.integer($0.value)) }
        return .object([
            ("model", .string(name)), ("weights", .string(inspection.layout)),
            (
                "configuration",
                .object([
                    ("visual_model", try Self.encoded(configuration.vision)),
                    ("visual_abstractor", try Self.encoded(configuration.abstractor)),
                    ("decoder", try Self.encoded(configuration.decoder)),
                    ("context", .integer(configuration.decoder.contextLength)),
                    ("eos_token_ids", .integers(configuration.endTokenIDs.sorted())),
                ])
            ),
            ("parts", .array(parts)), ("parameters", .integer(parameterCount)), ("bytes", .integer(byteCount)),
            ("missing", .strings(inspection.problems)), ("unexpected", .strings(inspection.unexpected)),
            ("fallbacks", .object(fallbacks)),
            ("non_finite", hasCheckedValues ? .object(nonFinite) : .null),
        ])
    }

    private static func encoded(_ value: some Encodable) throws -> JSONText {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return .verbatim(String(decoding: try encoder.encode(value), as: UTF8.self))
    }
}
