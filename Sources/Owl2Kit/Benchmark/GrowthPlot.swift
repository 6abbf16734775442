import Foundation

extension GrowthReport {
    /// The measurements as a picture: four panels in one SVG document.
    public var svg: String {
        let milliseconds = 1e3, gigabytes = 1e-9
        let decodeLimit = Self.scaled(decodeBound, milliseconds * 1.15)
        let panels = [
            PlotPanel(
                title: "A step of decoding", horizontal: "rows before it", vertical: "ms",
                lines: [
                    .init(name: "measured", points: Self.scaled(decode, milliseconds), isMeasured: true),
                    .init(name: "weights and KV at the read limit", points: Self.scaled(decodeBound, milliseconds)),
                    .init(name: "15 % above that", points: decodeLimit),
                ]),
            PlotPanel(
                title: "Prefill", horizontal: "rows", vertical: "s",
                lines: [.init(name: "measured", points: Self.scaled(prefill, 1), isMeasured: true), straight(prefill)]),
            PlotPanel(
                title: "Pictures", horizontal: "pictures together", vertical: "s",
                lines: [.init(name: "measured", points: Self.scaled(images, 1), isMeasured: true), straight(images)]),
            PlotPanel(
                title: "Memory", horizontal: "rows", vertical: "GB",
                lines: [
                    .init(name: "keys and values", points: Self.scaled(cache, gigabytes), isMeasured: true),
                    .init(name: "all of the process", points: Self.scaled(resident, gigabytes), isMeasured: true),
                ]),
        ]
        let threads = machine.threadCount == 1 ? "1 thread" : "\(machine.threadCount) threads"
        let caption =
            "\(type), KV in \(keyValueType.rawValue), \(machine.cpu), \(machine.instructionSet), \(threads), "
            + "read limit \(String(format: "%.1f", limits.readGigabytesPerSecond)) GB/s"
        return PlotPanel.document(panels, caption: caption)
    }

    private static func scaled(_ points: [Point], _ factor: Double) -> [PlotPanel.Point] {
        points.map { PlotPanel.Point(x: Double($0.size), y: $0.value * factor) }
    }

    /// What would be if each row or picture cost as much as one of the first ones.
    private func straight(_ points: [Point]) -> PlotPanel.Line {
        let first = points.first.map { $0.value / Double($0.size) } ?? 0
        return PlotPanel.Line(
            name: "as the first", points: points.map { PlotPanel.Point(x: Double($0.size), y: first * Double($0.size)) }
        )
    }
}

/// A diagram of a few lines over one axis, from zero on.
struct PlotPanel {
    struct Point {
        let x: Double
        let y: Double
    }

    struct Line {
        let name: String
        let points: [Point]
        /// Drawn with its points, where others are dashed.
        var isMeasured = false
    }

    let title: String
    let horizontal: String
    let vertical: String
    let lines: [Line]

    private static let width = 460.0, height = 280.0
    private static let left = 58.0, right = 28.0, top = 54.0, bottom = 40.0
    private static let colors = ["#1f5fa8", "#c2571a", "#7a7a7a"]

    /// Two panels beside each other, row by row.
    static func document(_ panels: [PlotPanel], caption: String) -> String {
        let rows = (panels.count + 1) / 2, total = height * Double(rows) + 30
        let body = panels.enumerated().map { index, panel in
            let x = Double(index % 2) * width, y = Double(index / 2) * height
            return "<g transform=\"translate(\(number(x)) \(number(y)))\">\n\(panel.content)</g>\n"
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(number(2 * width)) \(number(total))" \
            font-family="sans-serif" font-size="11">
            <rect width="100%" height="100%" fill="white"/>
            \(body.joined())\
            \(text(caption, x: left, y: total - 12))</svg>

            """
    }

    private var limits: Point {
        let points = lines.flatMap(\.points).filter { $0.x.isFinite && $0.y.isFinite }
        return Point(
            x: Self.roundLimit(points.map(\.x).max() ?? 1), y: Self.roundLimit((points.map(\.y).max() ?? 1) * 1.02))
    }

    /// The next number that is a whole count of steps.
    private static func roundLimit(_ value: Double) -> Double {
        guard value > 0 else { return 1 }
        let step = step(value)
        return (value / step).rounded(.up) * step
    }

    /// A round distance of grid lines, four to eight of them.
    private static func step(_ value: Double) -> Double {
        guard value > 0 else { return 1 }
        let power = pow(10, log10(value / 4).rounded(.down)), multiple = value / 4 / power
        return power * (multiple < 2 ? 1 : multiple < 5 ? 2 : 5)
    }

    private func place(_ point: Point, _ limits: Point) -> Point {
        Point(
            x: Self.left + point.x / limits.x * (Self.width - Self.left - Self.right),
            y: Self.height - Self.bottom - point.y / limits.y * (Self.height - Self.top - Self.bottom))
    }

    private var content: String {
        let limits = limits
        var result = Self.text(title, x: Self.left, y: 16, attributes: "font-size=\"13\" font-weight=\"bold\"")
        result += grid(limits)
        for (index, line) in lines.enumerated() { result += drawing(line, Self.colors[index % 3], limits) }
        result += legend
        let middle = (Self.left + Self.width - Self.right) / 2
        result += Self.text(horizontal, x: middle, y: Self.height - 8, attributes: "text-anchor=\"middle\"")
        return result + Self.text(vertical, x: 8, y: Self.top - 6)
    }

    private func grid(_ limits: Point) -> String {
        var result = ""
        for y in stride(from: 0, through: limits.y * 1.0001, by: Self.step(limits.y)) {
            let at = place(Point(x: 0, y: y), limits), end = place(Point(x: limits.x, y: y), limits)
            result += Self.segment(at, end, "#dddddd")
            result += Self.text(Self.label(y), x: at.x - 6, y: at.y + 4, attributes: "text-anchor=\"end\"")
        }
        for x in stride(from: 0, through: limits.x * 1.0001, by: Self.step(limits.x)) {
            let at = place(Point(x: x, y: 0), limits), end = place(Point(x: x, y: limits.y), limits)
            result += Self.segment(at, end, "#eeeeee")
            result += Self.text(Self.label(x), x: at.x, y: at.y + 15, attributes: "text-anchor=\"middle\"")
        }
        return result
    }

    private func drawing(_ line: Line, _ color: String, _ limits: Point) -> String {
        let places = line.points.filter { $0.x.isFinite && $0.y.isFinite }.map { place($0, limits) }
        let path = places.map { "\(Self.number($0.x)),\(Self.number($0.y))" }.joined(separator: " ")
        let dash = line.isMeasured ? "" : " stroke-dasharray=\"5 4\""
        var result = "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(color)\" stroke-width=\"1.6\"\(dash)/>\n"
        guard line.isMeasured else { return result }
        for place in places {
            result +=
                "<circle cx=\"\(Self.number(place.x))\" cy=\"\(Self.number(place.y))\" r=\"2.6\" fill=\"\(color)\"/>\n"
        }
        return result
    }

    private var legend: String {
        var x = Self.left, result = ""
        for (index, line) in lines.enumerated() {
            result += Self.segment(Point(x: x, y: 30), Point(x: x + 16, y: 30), Self.colors[index % 3])
            result += Self.text(line.name, x: x + 20, y: 34)
            x += 34 + 5.6 * Double(line.name.count)
        }
        return result
    }

    private static func segment(_ a: Point, _ b: Point, _ color: String) -> String {
        "<line x1=\"\(number(a.x))\" y1=\"\(number(a.y))\" x2=\"\(number(b.x))\" y2=\"\(number(b.y))\" stroke=\"\(color)\"/>\n"
    }

    private static func text(_ text: String, x: Double, y: Double, attributes: String = "") -> String {
        let escaped = text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
        return "<text x=\"\(number(x))\" y=\"\(number(y))\" \(attributes)>\(escaped)</text>\n"
    }

    private static func number(_ value: Double) -> String { String(format: "%.1f", value) }

    private static func label(_ value: Double) -> String { String(format: "%g", (value * 1e6).rounded() / 1e6) }
}
