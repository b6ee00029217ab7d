//! The device: the one file that knows how wgpu opens it, fills buffers and reads them back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_channel::oneshot;
use wgpu::util::DeviceExt as _;

use super::kernels::{KERNELS, Kernel};
use crate::{Error, Result};

/// An open device with its kernels compiled. It is asked for WebGPU's default limits everywhere, so that what runs here runs
/// in every browser (trap G14), and for half precision where it offers that.
#[derive(Clone, Debug)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// Whether it reads weights of half precision.
    pub(super) halves: bool,
    pipelines: Arc<BTreeMap<&'static str, wgpu::ComputePipeline>>,
    name: String,
    /// Why the device is gone.
    lost: Arc<Mutex<Option<String>>>,
}

impl Gpu {
    /// Opens the adapter that promises most.
    ///
    /// # Errors
    /// If there is none, or it refuses the default limits or a kernel.
    pub async fn open() -> Result<Self> {
        Self::open_with(wgpu::Features::SHADER_F16).await
    }

    /// As [`Gpu::open`], with those of `features` that the adapter has.
    pub(super) async fn open_with(features: wgpu::Features) -> Result<Self> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = instance.request_adapter(&options).await;
        let adapter = adapter.map_err(|e| refused(format!("no adapter ({e})")))?;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("toxiclip"),
            required_features: adapter.features() & features,
            required_limits: wgpu::Limits::default(),
            ..Default::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) = opened.map_err(refused)?;
        let lost = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, text| {
            note(&noted, format!("{reason:?} {text}"));
        });
        // What nobody waits for would end the process otherwise; here it ends the device.
        let noted = Arc::clone(&lost);
        device.on_uncaptured_error(Arc::new(move |error| note(&noted, error)));
        let info = adapter.get_info();
        // Browsers keep it to themselves.
        let name = if info.name.is_empty() { "unnamed adapter" } else { &info.name };
        let name = format!("{name} ({:?})", info.backend);
        let halves = device.features().contains(wgpu::Features::SHADER_F16);
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let known = KERNELS.iter().filter(|kernel| halves || !kernel.half);
        let pipelines = known.map(|kernel| (kernel.name, pipeline(&device, kernel))).collect();
        if let Some(error) = scope.pop().await {
            return Err(refused(error));
        }
        Ok(Self { device, queue, halves, pipelines: Arc::new(pipelines), name, lost })
    }

    /// The adapter and how it is reached, such as `llvmpipe (Vulkan)`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the device up; whatever runs on it fails from now on.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    pub(super) fn pipeline(&self, kernel: &Kernel) -> &wgpu::ComputePipeline {
        &self.pipelines[kernel.name]
    }

    pub(super) fn filled(
        &self,
        label: &str,
        bytes: &[u8],
        usage: wgpu::BufferUsages,
    ) -> wgpu::Buffer {
        let contents =
            wgpu::util::BufferInitDescriptor { label: Some(label), contents: bytes, usage };
        self.device.create_buffer_init(&contents)
    }

    pub(super) fn empty(
        &self,
        label: &str,
        bytes: usize,
        usage: wgpu::BufferUsages,
    ) -> wgpu::Buffer {
        let (size, label) = (bytes as u64, Some(label));
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label,
            size,
            usage,
            mapped_at_creation: false,
        })
    }

    /// What `buffer` holds once everything submitted has run.
    pub(super) async fn read(&self, buffer: &wgpu::Buffer) -> Result<Vec<f32>> {
        let (send, receive) = oneshot::channel();
        buffer.map_async(wgpu::MapMode::Read, .., move |mapped| {
            // Nobody waits any more: then nobody needs to know.
            let _ = send.send(mapped);
        });
        // Natively somebody has to wait; a browser calls back by itself.
        let polled = self.device.poll(wgpu::PollType::wait_indefinitely());
        polled.map_err(|e| self.failed(&e.to_string()))?;
        match receive.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(self.failed(&error.to_string())),
            Err(_) => return Err(self.failed("the read-back was dropped")),
        }
        let view = buffer.get_mapped_range(..).map_err(|e| self.failed(&e.to_string()))?;
        let values = bytemuck::cast_slice(&view).to_vec();
        drop(view);
        buffer.unmap();
        Ok(values)
    }

    /// What went wrong: that the device is gone, if it is, else what is given.
    pub(super) fn failed(&self, why: &str) -> Error {
        match self.lost() {
            Some(lost) => refused(format!("it was lost: {lost}")),
            None => refused(why),
        }
    }

    /// # Errors
    /// If the device was lost: whatever it would give is no result.
    pub(super) fn alive(&self) -> Result<()> {
        match self.lost() {
            Some(_) => Err(self.failed("")),
            None => Ok(()),
        }
    }

    /// A copy, so that no lock is held by whoever asks.
    fn lost(&self) -> Option<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn pipeline(device: &wgpu::Device, kernel: &Kernel) -> wgpu::ComputePipeline {
    let source = wgpu::ShaderSource::Wgsl(kernel.source.into());
    let label = Some(kernel.name);
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}

/// Keeps the first reason: others follow from it.
fn note(lost: &Mutex<Option<String>>, why: impl std::fmt::Display) {
    let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
    lost.get_or_insert_with(|| why.to_string());
}

/// One line, whatever a driver has to say.
fn refused(why: impl std::fmt::Display) -> Error {
    let why = why.to_string();
    Error::input("the graphics card", why.split_whitespace().collect::<Vec<_>>().join(" "))
}
