/// The library's version.
public enum Owl2Version {
    /// As in the package's version tags.
    public static let current = "0.1.0"
}
