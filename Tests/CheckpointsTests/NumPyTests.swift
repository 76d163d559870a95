// .npy files laid out by hand: versions, element types and headers as NumPy writes them.

import Checkpoints
import Testing

@Suite struct NumPyTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    static func file(_ header: String, _ data: [UInt8], version: UInt8 = 1) -> [UInt8] {
        let length =
            version == 1
            ? little(UInt16(header.utf8.count)) : little(UInt32(header.utf8.count))
        return [0x93] + Array("NUMPY".utf8) + [version, 0] + length + Array(header.utf8) + data
    }

    @Test(arguments: [1, 2, 3] as [UInt8])
    func readsEveryVersion(_ version: UInt8) throws {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n"
        let path = try folder.write(
            "a.npy", Self.file(header, bytes([1, 2, 3, 4, 5, 6]), version: version))
        let file = try NumPyFile(path: path)
        #expect(file.tensor.shape == [2, 3])
        #expect(file.tensor.floats() == [1, 2, 3, 4, 5, 6])
        #expect(file.tensors.keys.sorted() == ["array"])
    }

    @Test func readsIntegersScalarsAndOtherKeyOrders() throws {
        let vector = "{\"shape\": (2,), 'fortran_order': False, 'descr': '<i8'}"
        let integers = try NumPyFile(
            path: try folder.write(
                "a.npy", Self.file(vector, little(Int64(-1)) + little(Int64(5)))))
        #expect(try integers.tensor.integers() == [-1, 5])
        let scalar = "{'descr': '<f2', 'fortran_order': False, 'shape': ()}"
        let half = try NumPyFile(path: try folder.write("b.npy", Self.file(scalar, [0x00, 0x3C])))
        #expect(half.tensor.shape == [])
        #expect(half.tensor.floats() == [1])
    }
}
