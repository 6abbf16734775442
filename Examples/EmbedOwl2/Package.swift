// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "EmbedOwl2",
    platforms: [.macOS(.v15)],
    dependencies: [
        // In a package of your own: .package(url: …, from: "0.1.0")
        .package(name: "mplug-owl2-swift", path: "../..")
    ],
    targets: [
        .executableTarget(
            name: "EmbedOwl2",
            dependencies: [
                .product(name: "Owl2Kit", package: "mplug-owl2-swift"),
                // Carries the small model inside the program; leave it out where models come from a directory.
                .product(name: "Owl2Bundled", package: "mplug-owl2-swift"),
            ])
    ]
)
