// swift-tools-version: 6.1
import PackageDescription

/// A Swift library target that is also a product of its own, so that it can be imported alone.
let libraries = [
    "Owl2Core", "Owl2Tensor", "Owl2Checkpoint", "Owl2Tokenizer", "Owl2Image", "Owl2Vision", "Owl2Abstractor",
    "Owl2Decoder", "Owl2Kit", "Owl2Bundled",
]

let package = Package(
    name: "mplug-owl2-swift",
    platforms: [.macOS(.v15)],
    products: libraries.map { .library(name: $0, targets: [$0]) } + [
        .executable(name: "owl2", targets: ["Owl2CLI"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
    ],
    targets: [
        // System libraries and C
        .systemLibrary(
            name: "COwl2OpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
        .systemLibrary(name: "COwl2PNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"]), .brew(["libpng"])]),
        .target(name: "COwl2PNGReader", dependencies: ["COwl2PNG"]),
        .target(name: "COwl2Kernels", linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),

        // The modules
        .target(name: "Owl2Core"),
        .target(name: "Owl2Tensor", dependencies: ["Owl2Core", "COwl2Kernels", "COwl2OpenBLAS"]),
        .target(name: "Owl2Checkpoint", dependencies: ["Owl2Core", "Owl2Tensor"]),
        .target(name: "Owl2Tokenizer", dependencies: ["Owl2Core"]),
        .target(name: "Owl2Image", dependencies: ["Owl2Core", "COwl2PNGReader"]),
        .target(name: "Owl2Vision", dependencies: ["Owl2Core", "Owl2Tensor", "Owl2Checkpoint"]),
        .target(name: "Owl2Abstractor", dependencies: ["Owl2Core", "Owl2Tensor", "Owl2Checkpoint"]),
        .target(name: "Owl2Decoder", dependencies: ["Owl2Core", "Owl2Tensor", "Owl2Checkpoint"]),

        // What composes them
        .target(
            name: "Owl2Kit",
            dependencies: [
                "Owl2Core", "Owl2Tensor", "Owl2Checkpoint", "Owl2Tokenizer", "Owl2Image", "Owl2Vision",
                "Owl2Abstractor", "Owl2Decoder", "COwl2Kernels",
            ]),
        .target(name: "COwl2BundledModel", exclude: ["model"]),
        .target(name: "Owl2Bundled", dependencies: ["Owl2Core", "Owl2Kit", "COwl2BundledModel"]),
        .executableTarget(
            name: "Owl2CLI",
            dependencies: [
                "Owl2Kit", "Owl2Bundled", "COwl2OpenBLAS",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        // Tests: one target per module
        .testTarget(name: "Owl2CoreTests", dependencies: ["Owl2Core"]),
        .testTarget(name: "Owl2TensorTests", dependencies: ["Owl2Tensor", "COwl2Kernels"]),
        .testTarget(
            name: "Owl2CheckpointTests", dependencies: ["Owl2Checkpoint", "Owl2TestSupport"],
            resources: [.copy("Fixtures")]),
        .testTarget(name: "Owl2TokenizerTests", dependencies: ["Owl2Tokenizer"], resources: [.copy("Fixtures")]),
        .testTarget(
            name: "Owl2ImageTests", dependencies: ["Owl2Image", "Owl2TestSupport"], resources: [.copy("Fixtures")]),
        .target(
            name: "Owl2TestSupport", dependencies: ["Owl2Core", "Owl2Tensor", "Owl2Checkpoint"],
            path: "Tests/Owl2TestSupport"),
        .testTarget(
            name: "Owl2VisionTests", dependencies: ["Owl2Vision", "Owl2TestSupport"], resources: [.copy("Fixtures")]),
        .testTarget(
            name: "Owl2AbstractorTests", dependencies: ["Owl2Abstractor", "Owl2TestSupport"],
            resources: [.copy("Fixtures")]),
        .testTarget(
            name: "Owl2DecoderTests", dependencies: ["Owl2Decoder", "Owl2TestSupport"],
            resources: [.copy("Fixtures")]),
        .testTarget(
            name: "Owl2KitTests", dependencies: ["Owl2Kit", "Owl2Bundled", "COwl2Kernels"],
            resources: [.copy("Fixtures")]),
        .testTarget(name: "Owl2CLITests", dependencies: ["Owl2CLI", "Owl2Kit"]),
    ]
)
