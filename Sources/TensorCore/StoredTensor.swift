// Tensors as they lie in a file: shape, element type and bytes, memory-mapped or owned. Nothing is
// converted until somebody asks.

import Foundation
import Kernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Element types that checkpoints use.
public enum ScalarType: String, Sendable, CaseIterable {
    case float32, float16, bfloat16, float64, int64, int32, int16, int8, uint8, bool

    /// Bytes of one element.
    public var byteCount: Int {
        switch self {
        case .float64, .int64: 8
        case .float32, .int32: 4
        case .float16, .bfloat16, .int16: 2
        case .int8, .uint8, .bool: 1
        }
    }
}

/// What can go wrong with stored tensors.
public enum TensorError: Error, Equatable, CustomStringConvertible {
    /// A file could not be mapped.
    case cannotMap(path: String, reason: String)
    /// The tensor's bytes would lie outside its storage.
    case outOfBounds(name: String, needed: Int, available: Int)
    /// Integers were asked of a tensor of floats.
    case notIntegers(name: String, type: ScalarType)
    /// A matrix was asked of a tensor of another rank.
    case notAMatrix(name: String, shape: [Int])
    /// Blocks of int8 or int4 weights were asked of a tensor of another form.
    case notBlocks(name: String, shape: [Int])

    /// What was wrong, with the value seen and what is accepted.
    public var description: String {
        switch self {
        case .cannotMap(let path, let reason):
            "cannot open \(path): \(reason)"
        case .outOfBounds(let name, let needed, let available):
            "tensor \(name) ends at byte \(needed), but its storage holds \(available)"
        case .notIntegers(let name, let type):
            "tensor \(name) holds \(type.rawValue), integers are needed"
        case .notAMatrix(let name, let shape):
            "tensor \(name) has shape \(shape), a matrix [outputs, inputs] is needed"
        case .notBlocks(let name, let shape):
            "tensor \(name) has shape \(shape), blocks of int8 or int4 weights "
                + "[outputs / 16, inputs / 32, 544 or 288] of bytes are needed"
        }
    }
}

/// Immutable bytes: a memory-mapped file or a heap block.
public final class TensorStorage: @unchecked Sendable {
    // Sendable because the bytes are written once, before `init` returns, and freed in `deinit`.
    private let bytes: UnsafeRawBufferPointer
    private let isMapped: Bool

    /// Copies bytes to the heap, 64-byte aligned.
    public init(copying source: some Collection<UInt8>) {
        let block = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(source.count, 1), alignment: 64)
        block.copyBytes(from: source)
        bytes = UnsafeRawBufferPointer(rebasing: block[0..<source.count])
        isMapped = false
    }

    /// Makes a block of `count` bytes that `fill` writes, 64-byte aligned.
    package init(count: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 64)
        let part = UnsafeMutableRawBufferPointer(rebasing: block[0..<count])
        fill(part)
        bytes = UnsafeRawBufferPointer(part)
        isMapped = false
    }

    /// Makes a block of zeros.
    public convenience init(zeros count: Int) {
        self.init(count: count) { $0.initializeMemory(as: UInt8.self, repeating: 0) }
    }

    /// Maps a regular file read-only; pages are read when they are touched.
    public init(mapping path: String) throws(TensorError) {
        func failure(_ reason: String) -> TensorError { .cannotMap(path: path, reason: reason) }
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { throw failure(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw failure(String(cString: strerror(errno)))
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw failure("not a regular file") }
        let size = Int(status.st_size)
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            isMapped = false
            return
        }
        guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0),
            base != MAP_FAILED
        else { throw failure(String(cString: strerror(errno))) }
        bytes = UnsafeRawBufferPointer(start: base, count: size)
        isMapped = true
    }

    deinit {
        if isMapped {
            munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
        } else if bytes.baseAddress != nil {
            bytes.deallocate()
        }
    }

    /// Number of bytes.
    public var count: Int { bytes.count }

    /// Calls `body` with the bytes, which stay valid only for the call.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withExtendedLifetime(self) { try body(bytes) }
    }

    /// Lets go of the pages that lie wholly within a range of a mapped file.
    ///
    /// The next touch reads them again. Nothing happens to bytes on the heap.
    package func release(_ range: Range<Int>) {
        guard isMapped, let base = bytes.baseAddress else { return }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let first = (range.lowerBound + page - 1) / page * page
        let last = range.upperBound / page * page
        guard first < last else { return }
        madvise(UnsafeMutableRawPointer(mutating: base + first), last - first, MADV_DONTNEED)
    }

    /// The first byte; valid as long as the storage is referenced.
    package var baseAddress: UnsafeRawPointer? { bytes.baseAddress }
}

/// One named tensor inside a storage: contiguous, row-major, little-endian.
public struct StoredTensor: Sendable {
    /// Name in the checkpoint.
    public let name: String
    /// Extents, outermost first.
    public let shape: [Int]
    /// Element type.
    public let scalarType: ScalarType
    /// The bytes that hold it.
    public let storage: TensorStorage
    /// Where it starts in the storage.
    public let byteOffset: Int
    /// Product of the shape.
    public let elementCount: Int

    /// Describes a tensor; throws when it would reach outside the storage.
    public init(
        name: String, shape: [Int], scalarType: ScalarType, storage: TensorStorage, byteOffset: Int
    ) throws(TensorError) {
        var count = 1
        var overflow = false
        for extent in shape {
            let (product, tooLarge) = count.multipliedReportingOverflow(by: extent)
            overflow = overflow || tooLarge || extent < 0
            count = product
        }
        let (size, tooLarge) = count.multipliedReportingOverflow(by: scalarType.byteCount)
        let (end, pastEnd) = byteOffset.addingReportingOverflow(size)
        guard !overflow, !tooLarge, !pastEnd, byteOffset >= 0, end <= storage.count else {
            throw .outOfBounds(
                name: name, needed: overflow || tooLarge || pastEnd ? .max : end,
                available: storage.count)
        }
        self.name = name
        self.shape = shape
        self.scalarType = scalarType
        self.storage = storage
        self.byteOffset = byteOffset
        elementCount = count
    }

    /// Calls `body` with the tensor's own bytes.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try storage.withBytes { all in
            let end = byteOffset + elementCount * scalarType.byteCount
            return try body(UnsafeRawBufferPointer(rebasing: all[byteOffset..<end]))
        }
    }

    /// Lets go of the file's pages, after the values were used elsewhere.
    func releasePages() {
        storage.release(byteOffset..<byteOffset + elementCount * scalarType.byteCount)
    }

    private func read<Stored: BitwiseCopyable, Result>(
        _ type: Stored.Type, _ convert: (Stored) -> Result
    ) -> [Result] {
        withBytes { bytes in
            let size = MemoryLayout<Stored>.size
            return (0..<elementCount).map { index in
                convert(bytes.loadUnaligned(fromByteOffset: index * size, as: type))
            }
        }
    }

    /// The elements as fp32, whatever their type; the file's pages are let go of, so that a
    /// conversion does not hold both.
    public func floats() -> [Float] {
        defer { releasePages() }
        switch scalarType {
        case .float32:
            return [Float](unsafeUninitializedCapacity: elementCount) { buffer, count in
                withBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
                count = elementCount
            }
        case .bfloat16: return read(UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
        case .float16: return read(UInt16.self, Self.widenHalf)
        case .float64: return read(Double.self) { Float($0) }
        case .int64: return read(Int64.self) { Float($0) }
        case .int32: return read(Int32.self) { Float($0) }
        case .int16: return read(Int16.self) { Float($0) }
        case .int8: return read(Int8.self) { Float($0) }
        case .uint8, .bool: return read(UInt8.self) { Float($0) }
        }
    }

    /// The elements as integers; throws for float tensors.
    public func integers() throws(TensorError) -> [Int] {
        switch scalarType {
        case .int64: return read(Int64.self) { Int($0) }
        case .int32: return read(Int32.self) { Int($0) }
        case .int16: return read(Int16.self) { Int($0) }
        case .int8: return read(Int8.self) { Int($0) }
        case .uint8, .bool: return read(UInt8.self) { Int($0) }
        case .float32, .float16, .bfloat16, .float64:
            throw .notIntegers(name: name, type: scalarType)
        }
    }

    /// IEEE half to single precision, subnormals, infinities and NaN included.
    static func widenHalf(_ half: UInt16) -> Float {
        let sign = UInt32(half & 0x8000) << 16
        let exponent = UInt32(half >> 10) & 0x1F
        let fraction = UInt32(half) & 0x3FF
        switch exponent {
        case 0:
            let magnitude = Float(fraction) * 0x1p-24
            return sign == 0 ? magnitude : -magnitude
        case 31: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
        default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
        }
    }
}
