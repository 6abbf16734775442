import Foundation
import Testing

@testable import Owl2Kit

#if canImport(FoundationXML)
    import FoundationXML
#endif

@Suite("Growth plot") struct GrowthPlotTests {
    /// Counts elements by their names.
    private final class ElementCounter: NSObject, XMLParserDelegate {
        var counts: [String: Int] = [:]

        func parser(
            _ parser: XMLParser, didStartElement elementName: String, namespaceURI: String?,
            qualifiedName qName: String?, attributes attributeDict: [String: String]
        ) {
            counts[elementName, default: 0] += 1
            for (name, value) in attributeDict {
                #expect(!value.contains("nan") && !value.contains("inf"), "\(elementName) \(name)=\(value)")
            }
        }
    }

    private func report(_ values: [Double]) -> GrowthReport {
        let points = values.enumerated().map { GrowthReport.Point(size: 1 + 256 * $0.offset, value: $0.element) }
        return GrowthReport(
            machine: .init(cpu: "A <fast> & good one", instructionSet: .baseline, threadCount: 2),
            limits: MachineLimits(
                readGigabytesPerSecond: 30, int8GigaoperationsPerSecond: 900, float32GigaoperationsPerSecond: 200),
            type: "q4_0", keyValueType: .f16, decode: points, decodeBound: points, prefill: points, images: points,
            cache: points, resident: points)
    }

    @Test(
        "The picture is well-formed and shows every point",
        arguments: [[], [0.2], [0.1, 0.3, 0.2], [0, 0, 0], [1e9, 3e9]])
    func wellFormed(_ values: [Double]) throws {
        let parser = XMLParser(data: Data(report(values).svg.utf8)), counter = ElementCounter()
        parser.delegate = counter
        #expect(parser.parse(), "\(String(describing: parser.parserError))")
        #expect(counter.counts["svg"] == 1)
        #expect(counter.counts["g"] == 4)
        #expect(counter.counts["circle"] ?? 0 == 5 * values.count)
        #expect(counter.counts["polyline"] == 9)
    }
}
