"""The speaker encoder CAM++ as a module that exports to ONNX, batch norms folded or not.

Legend: T frames of features, 80 bands, E size of the embedding.
Sources: Wang et al., "CAM++" (2023); modelscope/3D-Speaker campplus; stepfun-ai/Step-Audio funasr_detach campplus.
"""

from collections import OrderedDict

import onnx
import torch
from torch import nn
from torch.nn import functional as F

from .draws import Draws


class Residual(nn.Module):
    """Two 3x3 convolutions over (band, time); a stride acts on the bands only."""

    def __init__(self, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, channels, 1, (stride, 1), bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class Head(nn.Module):
    """[1, 80, T] to [1, 10 C, T]."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.Sequential(Residual(channels, 2), Residual(channels, 1))
        self.layer2 = nn.Sequential(Residual(channels, 2), Residual(channels, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x[:, None])))
        x = F.relu(self.bn2(self.conv2(self.layer2(self.layer1(x)))))
        return x.reshape(x.shape[0], x.shape[1] * x.shape[2], x.shape[3])


def activation(channels):
    return nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(channels), relu=nn.ReLU()))


class TimeDelay(nn.Module):
    """A convolution of stride two, then norm and ReLU."""

    def __init__(self, fan, channels):
        super().__init__()
        self.linear = nn.Conv1d(fan, channels, 5, 2, 2, bias=False)
        self.nonlinear = activation(channels)

    def forward(self, x):
        return self.nonlinear(self.linear(x))


class ContextMask(nn.Module):
    """A convolution whose output is weighed by the context: the mean of everything and of segments of 100 frames."""

    def __init__(self, fan, channels, dilation):
        super().__init__()
        self.linear_local = nn.Conv1d(fan, channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(fan, fan // 2, 1)
        self.linear2 = nn.Conv1d(fan // 2, channels, 1)

    def forward(self, x):
        segments = F.avg_pool1d(x, 100, 100, ceil_mode=True)[..., None]
        segments = segments.expand(-1, -1, -1, 100).flatten(2)[..., : x.shape[-1]]
        context = x.mean(-1, keepdim=True) + segments
        return self.linear_local(x) * self.linear2(F.relu(self.linear1(context))).sigmoid()


class DenseLayer(nn.Module):
    """The growth of one dense layer, [1, growth, T]."""

    def __init__(self, fan, inner, growth, dilation):
        super().__init__()
        self.nonlinear1 = activation(fan)
        self.linear1 = nn.Conv1d(fan, inner, 1, bias=False)
        self.nonlinear2 = activation(inner)
        self.cam_layer = ContextMask(inner, growth, dilation)

    def forward(self, x):
        return self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))


class DenseBlock(nn.ModuleDict):
    """Dense layers; each one's output is appended to its input."""

    def __init__(self, fan, layers, inner, growth, dilation):
        super().__init__({
            f"tdnnd{index + 1}": DenseLayer(fan + index * growth, inner, growth, dilation) for index in range(layers)})

    def forward(self, x):
        for layer in self.values():
            x = torch.cat([x, layer(x)], 1)
        return x


class Transit(nn.Module):
    """Norm, ReLU and a pointwise convolution."""

    def __init__(self, fan, channels):
        super().__init__()
        self.nonlinear = activation(fan)
        self.linear = nn.Conv1d(fan, channels, 1, bias=False)

    def forward(self, x):
        return self.linear(self.nonlinear(x))


class Statistics(nn.Module):
    """[1, C, T] to mean and unbiased deviation [1, 2 C]."""

    def forward(self, x):
        return torch.cat([x.mean(-1), x.std(-1, unbiased=True)], -1)


class Dense(nn.Module):
    """[1, C] to the embedding [1, E]."""

    def __init__(self, fan, size):
        super().__init__()
        self.linear = nn.Conv1d(fan, size, 1, bias=False)
        self.nonlinear = nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(size, affine=False)))

    def forward(self, x):
        return self.nonlinear(self.linear(x[..., None])[..., 0])


class SpeakerEncoder(nn.Module):
    """Features [1, T, 80] to an embedding [1, E]."""

    def __init__(self, head, first, blocks, growth, inner, size):
        super().__init__()
        self.head = Head(head)
        stages = OrderedDict(tdnn=TimeDelay(10 * head, first))
        channels = first
        for index, (layers, dilation) in enumerate(zip(blocks, (1, 2, 2))):
            stages[f"block{index + 1}"] = DenseBlock(channels, layers, inner, growth, dilation)
            channels += layers * growth
            stages[f"transit{index + 1}"] = Transit(channels, channels // 2)
            channels //= 2
        stages["out_nonlinear"] = activation(channels)
        stages["stats"] = Statistics()
        stages["dense"] = Dense(2 * channels, size)
        self.xvector = nn.Sequential(stages)

    def forward(self, features):
        return self.xvector(self.head(features.permute(0, 2, 1)))


def random_model(**sizes):
    """An encoder with random weights and statistics."""
    draws, model = Draws("campplus"), SpeakerEncoder(**sizes)
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.running_mean.copy_(draws.bias(module.num_features, 0.3))
                module.running_var.copy_(draws.uniform(module.num_features, low=0.5, high=2))
                if module.affine:
                    module.weight.copy_(draws.scale(module.num_features))
                    module.bias.copy_(draws.bias(module.num_features, 0.2))
            elif isinstance(module, (nn.Conv1d, nn.Conv2d)):
                module.weight.copy_(draws.weight(*module.weight.shape, gain=1.5))
                if module.bias is not None:
                    module.bias.copy_(draws.bias(len(module.bias), 0.3))
    return model.eval()


def export(model, path, folded):
    """Writes the graph, batch norms behind convolutions folded into them or kept."""
    mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    torch.onnx.export(
        model, torch.zeros(1, 52, 80), path, dynamo=False, opset_version=14, training=mode,
        do_constant_folding=folded, input_names=["input"], output_names=["output"],
        dynamic_axes={"input": {1: "T"}})
    graph = onnx.load(path)
    names = {node.name for node in graph.graph.node}
    for needed in ["/head/conv1/Conv", "/head/layer1/layer1.0/conv1/Conv",
                   "/head/layer1/layer1.0/shortcut/shortcut.0/Conv", "/xvector/tdnn/linear/Conv",
                   "/xvector/block1/tdnnd1/nonlinear1/batchnorm/BatchNormalization",
                   "/xvector/block1/tdnnd1/cam_layer/linear_local/Conv",
                   "/xvector/transit1/nonlinear/batchnorm/BatchNormalization", "/xvector/dense/linear/Conv",
                   "/xvector/dense/nonlinear/batchnorm/BatchNormalization"]:
        assert needed in names, (needed, sorted(names))
    assert ("/head/bn1/BatchNormalization" in names) is not folded
    onnx.checker.check_model(graph)
