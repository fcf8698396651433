//! The ordinary differential equation of the flow: cosine time steps, Euler, classifier-free guidance.
//!
//! Origin: stepfun-ai/Step-Audio-EditX aacb90a, `stepvocoder/cosyvoice2/flow/flow_matching.py`.

use crate::error::Result;
use candle_core::Tensor;

/// The times 1 - cos(pi k / (2 `steps`)), k = 0..=`steps`: from 0 to 1, short steps first.
pub fn cosine_times(steps: usize) -> Vec<f64> {
    let time = |k: usize| 1.0 - (std::f64::consts::FRAC_PI_2 * k as f64 / steps as f64).cos();
    (0..=steps).map(time).collect()
}

/// The velocities at one point: with the condition and without it.
pub struct Velocity {
    /// Given the condition.
    pub conditional: Tensor,
    /// With the condition set to zero.
    pub unconditional: Tensor,
}

/// Follows dx/dt = (1 + `guidance`) conditional - `guidance` unconditional from `x` at `times[0]` to the last time.
///
/// `velocity(k, x)` is asked at `times[k]`; `after(k, x)` sees the state after `k` steps and may fail to stop.
pub fn guided_euler(
    x: Tensor,
    times: &[f64],
    guidance: f64,
    mut velocity: impl FnMut(usize, &Tensor) -> Result<Velocity>,
    mut after: impl FnMut(usize, &Tensor) -> Result<()>,
) -> Result<Tensor> {
    let mut x = x;
    for (step, pair) in times.windows(2).enumerate() {
        let dt = pair[1] - pair[0];
        let v = velocity(step, &x)?;
        let toward = (v.conditional * (dt * (1.0 + guidance)))?;
        let away = (v.unconditional * (dt * guidance))?;
        x = ((x + toward)? - away)?;
        after(step + 1, &x)?;
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use candle_core::Device;

    fn scalar(x: f64) -> Tensor {
        Tensor::new(&[x], &Device::Cpu).unwrap()
    }

    fn value(x: &Tensor) -> f64 {
        x.to_vec1::<f64>().unwrap()[0]
    }

    #[test]
    fn times_of_ten_steps() {
        let want = [
            0.0,
            0.012_311_64,
            0.048_943_46,
            0.108_993_47,
            0.190_983_0,
            0.292_893_23,
            0.412_214_82,
            0.546_009_48,
            0.690_983_06,
            0.843_565_52,
            1.0,
        ];
        let got = cosine_times(10);
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 1e-7, "{got} {want}");
        }
    }

    #[test]
    fn converges_to_the_exponential() {
        // dx/dt = 2 x - x = x with guidance 1, so x(1) = e.
        let solve = |steps| {
            let field = |_, x: &Tensor| Ok(Velocity { conditional: x.clone(), unconditional: x.clone() });
            value(&guided_euler(scalar(1.0), &cosine_times(steps), 1.0, field, |_, _| Ok(())).unwrap())
        };
        let errors = [100, 200].map(|steps| (solve(steps) - std::f64::consts::E).abs());
        assert!(errors[0] < 0.03 && errors[1] < 0.55 * errors[0], "{errors:?}");
    }

    #[test]
    fn one_step_weighs_both_branches() {
        let field = |step, _: &Tensor| {
            assert_eq!(step, 0);
            Ok(Velocity { conditional: scalar(3.0), unconditional: scalar(5.0) })
        };
        let x = guided_euler(scalar(1.0), &[0.0, 0.5], 0.7, field, |_, _| Ok(())).unwrap();
        assert!((value(&x) - (1.0 + 0.5 * (1.7 * 3.0 - 0.7 * 5.0))).abs() < 1e-12);
    }

    #[test]
    fn stops_when_told() {
        let mut asked = 0;
        let field = |_, x: &Tensor| {
            asked += 1;
            Ok(Velocity { conditional: x.clone(), unconditional: x.clone() })
        };
        let stop = |k, _: &Tensor| if k == 3 { Err(Error::interrupted()) } else { Ok(()) };
        let result = guided_euler(scalar(1.0), &cosine_times(10), 0.7, field, stop);
        assert_eq!(result.unwrap_err(), Error::interrupted());
        assert_eq!(asked, 3);
    }
}
