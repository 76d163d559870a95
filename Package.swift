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
        .executableTarget(
            name: "StepAudioCommand",
            dependencies: [
                "StepAudio", "TensorCore",
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
        .executableTarget(
            name: "StreamingBenchmark",
            dependencies: core + ["StepAudio", "LanguageModel", "SpeechSynthesis"],
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
