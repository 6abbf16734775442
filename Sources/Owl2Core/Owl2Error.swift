/// What went wrong, where, what was expected and what was found.
///
/// Every error that the library raises for a caller's data has this type; only cancellation is reported as Swift's own
/// `CancellationError`. Codes are values, so that a new one is not a source-breaking change.
///
/// ```swift
/// do {
///     let owl = try await Owl2Pipeline.load(from: directory)
/// } catch let error as Owl2Error where error.code == .missingWeights {
///     print(error.message)
/// }
/// ```
public struct Owl2Error: Error, Sendable {
    /// The kind of an error.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// The code's stable name.
        public let rawValue: String

        /// A code of the given stable name.
        public init(rawValue: String) {
            self.rawValue = rawValue
        }

        /// A file or directory is absent or cannot be read.
        public static let unreadableFile = Code(rawValue: "unreadableFile")
        /// A file's content contradicts its format.
        public static let malformedFile = Code(rawValue: "malformedFile")
        /// A file is sound, but of a format or with a feature that is not supported.
        public static let unsupportedFormat = Code(rawValue: "unsupportedFormat")
        /// A configuration has absent, absurd or contradictory values.
        public static let invalidConfiguration = Code(rawValue: "invalidConfiguration")
        /// Weights are missing or have another shape or type than the configuration asks for.
        public static let missingWeights = Code(rawValue: "missingWeights")
        /// A value that the caller gave makes no sense.
        public static let invalidInput = Code(rawValue: "invalidInput")
        /// A prompt has more or fewer image markers than there are images.
        public static let imageCountMismatch = Code(rawValue: "imageCountMismatch")
        /// A prompt needs more rows than the context has.
        public static let contextExceeded = Code(rawValue: "contextExceeded")
        /// The model computed a NaN or an infinity, or a weight is one or too large for the type that is to hold it.
        public static let nonFiniteValue = Code(rawValue: "nonFiniteValue")
        /// A library that is looked up at run time is not installed.
        public static let missingLibrary = Code(rawValue: "missingLibrary")
        /// A file cannot be written.
        public static let unwritableFile = Code(rawValue: "unwritableFile")
    }

    /// The kind of the error.
    public var code: Code
    /// One line for people: the operation, the file, key or option, what was expected and what was found.
    public var message: String
    /// The file, key or option that the error is about, where there is one.
    public var subject: String?
    /// The error that caused this one.
    public var underlyingError: (any Error)?

    /// An error of a code, with its one-line message. Control characters, which names in a file may hold, become spaces.
    public init(_ code: Code, _ message: String, subject: String? = nil, underlyingError: (any Error)? = nil) {
        self.code = code
        let scalars = message.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }
        self.message = String(String.UnicodeScalarView(scalars))
        self.subject = subject
        self.underlyingError = underlyingError
    }
}

extension Owl2Error: CustomStringConvertible {
    /// The message.
    public var description: String { message }
}
