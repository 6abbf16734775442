import Foundation
import Owl2Kit

/// Writes how cost grows: a picture into a file, and the numbers to the standard output.
enum GrowthWriter {
    static func write(_ report: GrowthReport, to url: URL, _ format: ReportFormat) throws {
        do {
            try Data(report.svg.utf8).write(to: url, options: .atomic)
        } catch {
            throw Owl2Error(
                .unwritableFile, "cannot write \(url.path): \(error.localizedDescription)", subject: url.path,
                underlyingError: error)
        }
        try StandardOutput.write(format == .json ? "\(json(report))\n" : table(report, format))
    }

    private typealias Series = (name: String, unit: String, points: [GrowthReport.Point])

    private static func series(_ report: GrowthReport) -> [Series] {
        [
            ("decode", "s", report.decode), ("decode_bound", "s", report.decodeBound), ("prefill", "s", report.prefill),
            ("image", "s", report.images), ("cache", "bytes", report.cache), ("resident", "bytes", report.resident),
        ]
    }

    private static func json(_ report: GrowthReport) -> JSONText {
        let members = series(report).map { series in
            let points = series.points.map { point -> JSONText in
                .object([("size", .integer(point.size)), (series.unit, .double(point.value))])
            }
            return (series.name, JSONText.array(points))
        }
        return .object(
            [
                ("machine", BenchReport.machine(report.machine)), ("limits", BenchReport.limits(report.limits)),
                ("type", .string(report.type)), ("kv", .string(report.keyValueType.rawValue)),
            ] + members)
    }

    private static func table(_ report: GrowthReport, _ format: ReportFormat) -> String {
        let header = ["what", "size", "value", "unit"]
        let rows = series(report).flatMap { series in
            series.points.map { [series.name, "\($0.size)", BenchReport.number($0.value), series.unit] }
        }
        if format == .text { return ([header] + rows).map { $0.joined(separator: "\t") + "\n" }.joined() }
        let lines = [header, header.map { _ in "---" }] + rows
        return lines.map { "| \($0.joined(separator: " | ")) |\n" }.joined()
    }
}
