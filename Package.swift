// swift-tools-version: 6.1
// The StepAudio package: Step-Audio's speech chat as native code. docs/architecture.md has the map.

import PackageDescription

let core: [Target.Dependency] = [
    "TensorCore", "Checkpoints", "AudioSignal", "LanguageModelInterface",
]

let package = Package(
    name: "StepAudio",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "StepAudio", targets: ["StepAudio"]),
        .executable(name: "stepaudio", targets: ["StepAudioCommand"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(name: "Kernels"),
        .target(name: "TensorCore", dependencies: ["Kernels"]),
        .target(name: "LanguageModelInterface"),
        .target(
            name: "Checkpoints",
            dependencies: ["TensorCore", .product(name: "Yams", package: "Yams")]
        ),
        .target(name: "AudioSignal", dependencies: ["TensorCore"]),
        .target(name: "SpeechTokenizer", dependencies: core),
        .target(name: "LanguageModel", dependencies: core),
        .target(name: "RemoteLanguageModel", dependencies: ["LanguageModelInterface"]),
        .target(
            name: "SpeechSynthesis", dependencies: core,
            resources: [.embedInCode("Resources/system_prompts.json")]
        ),
        .target(
            name: "StepAudio",
            dependencies: core + [
                "SpeechTokenizer", "LanguageModel", "RemoteLanguageModel", "SpeechSynthesis",
            ]
        ),
        .target(
            name: "StepAudioServer",
            dependencies: [
                "StepAudio", "AudioSignal",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOFoundationCompat", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOWebSocket", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            resources: [
                .embedInCode("Page/Resources/page.html"),
                .embedInCode("Page/Resources/page.css"),
                .embedInCode("Page/Resources/icon.svg"),
                .embedInCode("Page/Resources/app.js"),
                .embedInCode("Page/Resources/clone.js"),
                .embedInCode("Page/Resources/recorder.js"),
                .embedInCode("Page/Resources/settings.js"),
                .embedInCode("Page/Resources/sound.js"),
                .embedInCode("Page/Resources/talk.js"),
                .embedInCode("Page/Resources/text.js"),
                .embedInCode("Page/Resources/turns.js"),
                .embedInCode("Wire/openapi.json"),
            ]
        ),
        .executableTarget(
            name: "StepAudioCommand",
            dependencies: [
                "StepAudio", "StepAudioServer", "TensorCore",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .executableTarget(
            name: "ChatServerBenchmark",
            dependencies: [
                "LanguageModel", "RemoteLanguageModel", "SpeechSynthesis", "TestSupport",
            ],
            path: "Benchmarks/ChatServer"
        ),
        .testTarget(
            name: "StepAudioServerTests",
            dependencies: [
                "StepAudioServer", "StepAudio", "AudioSignal", "TensorCore",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ]),
        .executableTarget(
            name: "StreamingBenchmark",
            dependencies: core + [
                "StepAudio", "LanguageModel", "SpeechSynthesis", "TestSupport",
            ],
            path: "Benchmarks/Streaming"
        ),
        .testTarget(name: "TensorCoreTests", dependencies: ["TensorCore", "Kernels"]),
        .testTarget(name: "CheckpointsTests", dependencies: ["Checkpoints", "TensorCore"]),
        .testTarget(name: "AudioSignalTests", dependencies: ["AudioSignal", "TensorCore"]),
        .testTarget(name: "SpeechTokenizerTests", dependencies: core + ["SpeechTokenizer"]),
        .testTarget(
            name: "LanguageModelTests", dependencies: core + ["LanguageModel", "TestSupport"]),
        .testTarget(
            name: "RemoteLanguageModelTests",
            dependencies: ["RemoteLanguageModel", "LanguageModelInterface", "TestSupport"]),
        .target(
            name: "TestSupport", dependencies: ["LanguageModelInterface"],
            path: "Tests/TestSupport"),
        .testTarget(name: "SpeechSynthesisTests", dependencies: core + ["SpeechSynthesis"]),
        .testTarget(
            name: "StepAudioTests",
            dependencies: core + ["StepAudio", "LanguageModel", "TestSupport"],
            exclude: ["Resources"]),
        .testTarget(
            name: "StepAudioCommandTests",
            dependencies: ["StepAudio", "AudioSignal", "StepAudioCommand", "TestSupport"]
        ),
    ],
    swiftLanguageModes: [.v6]
)
