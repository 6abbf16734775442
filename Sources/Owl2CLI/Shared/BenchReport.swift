import Foundation
import Owl2Kit

/// Measurements for people, documents and scripts.
struct BenchReport {
    let report: BenchmarkReport

    func formatted(_ format: ReportFormat) -> String {
        switch format {
        case .text: text
        case .json: "\(json)\n"
        case .markdown: markdown
        }
    }

    private var json: JSONText {
        .object([
            ("machine", Self.machine(report.machine)), ("limits", Self.limits(report.limits)),
            ("results", .array(report.results.map(Self.object))),
            ("peak_resident_bytes", .integer(report.peakResidentByteCount)),
        ])
    }

    static func machine(_ machine: BenchmarkReport.MachineDescription) -> JSONText {
        .object([
            ("cpu", .string(machine.cpu)), ("isa", .string(machine.instructionSet.description)),
            ("threads", .integer(machine.threadCount)),
        ])
    }

    static func limits(_ limits: MachineLimits) -> JSONText {
        .object([
            ("read_gb_per_s", .double(limits.readGigabytesPerSecond)),
            ("int8_gop_per_s", .double(limits.int8GigaoperationsPerSecond)),
            ("float32_gflop_per_s", .double(limits.float32GigaoperationsPerSecond)),
        ])
    }

    private static func object(_ result: BenchmarkResult) -> JSONText {
        .object([
            ("work", .string(result.work.rawValue)), ("type", .string(result.type)),
            ("backend", .string(result.backend.rawValue)), ("size", .integer(result.size)),
            ("median", .double(result.spread.median)), ("low", .double(result.spread.low)),
            ("high", .double(result.spread.high)), ("unit", .string(result.unit)),
            ("bound", .string(result.bound.rawValue)), ("share", .double(result.share)),
        ])
    }

    /// The machine and its limits on one line each.
    private var preamble: [String] {
        let machine = report.machine, limits = report.limits
        let threads = machine.threadCount == 1 ? "1 thread" : "\(machine.threadCount) threads"
        return [
            "\(machine.cpu), \(machine.instructionSet), \(threads)",
            "limits: read \(Self.number(limits.readGigabytesPerSecond)) GB/s, "
                + "int8 \(Self.number(limits.int8GigaoperationsPerSecond)) GOP/s, "
                + "Float32 \(Self.number(limits.float32GigaoperationsPerSecond)) GFLOP/s",
        ]
    }

    private var peak: String {
        "peak resident memory: \(Self.number(Double(report.peakResidentByteCount) / 1e9)) GB"
    }

    private static let headings = [
        "work", "size", "type", "backend", "median", "low", "high", "unit", "share of limit",
    ]

    private var rows: [[String]] {
        report.results.map { result in
            let share = Self.number(result.share * 100)
            return [
                result.work.rawValue, "\(result.size)", result.type, result.backend.rawValue,
                Self.number(result.spread.median), Self.number(result.spread.low), Self.number(result.spread.high),
                result.unit, "\(share) % of \(result.bound.rawValue)",
            ]
        }
    }

    private var text: String {
        let table = [Self.headings] + rows
        let widths = Self.headings.indices.map { column in table.map { $0[column].count }.max() ?? 0 }
        let lines = table.map { row in
            zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(separator: "  ")
                .trimmingCharacters(in: .whitespaces)
        }
        return (preamble + [""] + lines + ["", peak]).joined(separator: "\n") + "\n"
    }

    private var markdown: String {
        let rule = "|\(String(repeating: "---|", count: Self.headings.count))"
        let lines = [Self.headings].map(Self.line) + [rule] + rows.map(Self.line)
        return (preamble + [""] + lines + ["", peak]).joined(separator: "\n") + "\n"
    }

    private static func line(_ cells: [String]) -> String { "| \(cells.joined(separator: " | ")) |" }

    /// Three digits, as many as a measurement is good for.
    static func number(_ value: Double) -> String {
        guard value.isFinite, value != 0 else { return value == 0 ? "0" : "-" }
        let decimals = max(0, 2 - Int(log10(abs(value)).rounded(.down)))
        return String(format: "%.\(min(decimals, 6))f", value)
    }
}
