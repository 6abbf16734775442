import Foundation

/// Takes the white space around a text away while the text is still coming in.
struct TrimmedText {
    /// White space that belongs to the text only if more follows.
    private var heldBack = ""
    private(set) var hasBegun = false

    /// Adds a piece.
    ///
    /// - Returns: What of the text is now certain.
    mutating func append(_ piece: String) -> String {
        var certain = ""
        for scalar in piece.unicodeScalars {
            if CharacterSet.whitespacesAndNewlines.contains(scalar) {
                if hasBegun { heldBack.unicodeScalars.append(scalar) }
            } else {
                certain += heldBack
                certain.unicodeScalars.append(scalar)
                heldBack = ""
                hasBegun = true
            }
        }
        return certain
    }
}
